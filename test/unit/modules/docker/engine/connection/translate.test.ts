import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { translate } from '../../../../../../src/modules/docker/engine/connection/translate.ts';

const test = suite('engine failures');

const operation = { action: 'removing container "a"', socketPath: '/run/docker.sock' };

/** Error that the engine's client throws for a reply with this status. */
function refused(statusCode: number, message: string): Error {
  return Object.assign(new Error(message), { statusCode, json: { message } });
}

test('are Unavailable where the engine is busy with the same container', () => {
  const message = 'removal of container 1f is already in progress';
  const { code, message: text } = translate(refused(409, message), operation);
  assert.is(code, 'Unavailable');
  assert.is(text, `removing container "a": ${message}`);
});

test('are InvalidArgs and NotFound by their status, Unavailable otherwise', () => {
  for (const [status, code] of [
    [400, 'InvalidArgs'],
    [404, 'NotFound'],
    [500, 'Unavailable'],
    [503, 'Unavailable'],
  ] as const)
    assert.is(translate(refused(status, 'no'), operation).code, code);
});

test.run();
