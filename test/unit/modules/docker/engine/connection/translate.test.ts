import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { translate } from '../../../../../../src/modules/docker/engine/connection/translate.ts';
import { EngineUnreachable } from '../../../../../../src/modules/supervisor/module-type.ts';

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

test('are those of an unreachable engine where it is busy, or a proxy has no response of it', () => {
  const isUnreachable = (status: number): boolean =>
    translate(refused(status, 'later'), operation) instanceof EngineUnreachable;
  assert.equal([429, 502, 503, 504].map(isUnreachable), [true, true, true, true]);
  assert.equal([400, 404, 409, 500].map(isUnreachable), [false, false, false, false]);
  assert.is(translate(refused(503, 'later'), operation).message, 'removing container "a": later');
});

test('quote a part of what the engine says only: it may repeat the configuration of a module', () => {
  const { message } = translate(refused(400, 'x'.repeat(5000)), operation);
  assert.is(message, `removing container "a": ${'x'.repeat(1024)}`);
});

test.run();
