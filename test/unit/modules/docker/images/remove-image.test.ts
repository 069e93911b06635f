import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../../../src/errors.ts';
import type { PulledImageRecord } from '../../../../../src/modules/docker/images/pulled-images.ts';
import { removeImage } from '../../../../../src/modules/docker/images/remove-image.ts';
import { DiskFull, EngineUnreachable } from '../../../../../src/modules/supervisor/module-type.ts';
import { failureOf } from '../../../../support/failure.ts';

const test = suite('the removal of an image');
const signal = new AbortController().signal;
const record = {
  id: 'sha256:1',
  references: [],
  usedAt: new Date(0),
} as unknown as PulledImageRecord;
const full = new DiskFull('Unavailable', 'no space left on device');

/** The requests, and why the image stays, with an engine that replies in this order and removes then. */
async function removal(
  references: readonly string[],
  replies: readonly (Error | boolean)[],
): Promise<readonly [string, string | undefined]> {
  const left = [...replies];
  const requests: string[] = [];
  const remove = (name: string): Promise<boolean> => {
    requests.push(name);
    const reply = left.shift() ?? true;
    return reply instanceof Error ? Promise.reject(reply) : Promise.resolve(reply);
  };
  const kept = await removeImage({ remove }, { record, references }, signal);
  return [requests.join(' '), kept && `${kept.reference}: ${kept.reason}`];
}

test('is that of its references, or of its id when it has none', async () => {
  assert.equal(await removal(['a:1', 'a:2'], []), ['a:1 a:2', undefined]);
  assert.equal(await removal([], []), ['sha256:1', undefined]);
});

test('goes on by its id on a full disk, a few times', async () => {
  assert.equal(await removal(['a:1', 'a:2'], [full]), ['a:1 a:2 sha256:1', undefined]);
  assert.equal(await removal(['a:1'], [full, full]), ['a:1 sha256:1 sha256:1', undefined]);
  const [requests, reason] = await removal(
    ['a:1'],
    Array.from({ length: 20 }, () => full),
  );
  assert.is(requests, 'a:1 sha256:1 sha256:1 sha256:1 sha256:1');
  assert.is(reason, 'sha256:1: no space left on device');
});

test('ends with the first refusal, also on a full disk', async () => {
  assert.equal(await removal(['a:1', 'a:2'], [false]), ['a:1', 'a:1: it is in use']);
  const used = await removal(['a:1'], [full, false]);
  assert.equal(used, ['a:1 sha256:1', 'sha256:1: it is in use']);
  const [requests, reason] = await removal(['a:1', 'a:2'], [new ServiceError('Failed', 'odd')]);
  assert.equal([requests, reason], ['a:1', 'a:1: odd']);
});

test('fails when the engine is unreachable', async () => {
  const away = new EngineUnreachable('Unavailable', 'away');
  assert.is(await failureOf(removal(['a:1'], [full, away])), 'Unavailable');
});

test.run();
