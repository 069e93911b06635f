import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  PullDiskFull,
  translatePull,
} from '../../../../../src/modules/docker/engine/connection/translate.ts';
import { followPull, withTag } from '../../../../../src/modules/docker/engine/pull.ts';
import type { PullProgress } from '../../../../../src/modules/supervisor/module-type.ts';
import { codeIn } from '../../../../support/failure.ts';

const test = suite('pulls');

/** Progress reported for a pull whose response has these lines, then the code of its failure. */
async function reported(...lines: readonly object[]): Promise<readonly (PullProgress | string)[]> {
  const stream = (async function* () {
    for (const line of lines) yield await Promise.resolve(Buffer.from(`${JSON.stringify(line)}\n`));
  })();
  const found: (PullProgress | string)[] = [];
  try {
    await followPull(stream, 'a:1', (progress) => found.push(progress));
  } catch (error) {
    found.push(codeIn(error));
  }
  return found;
}

test('report the bytes of all layers together', async () => {
  const layer = (id: string, current: number, total: number) => ({
    id,
    status: 'Downloading',
    progressDetail: { current, total },
  });
  const found = await reported(
    { status: 'Pulling from a' },
    layer('1', 50, 100),
    layer('2', 0, 100),
    { id: '1', status: 'Download complete', progressDetail: {} },
    { id: '1', status: 'Waiting' },
    layer('2', 300, 100),
    { id: '3', status: 'Already exists' },
  );
  const fractions = found.map((one) => (typeof one === 'string' ? one : one.fraction));
  assert.equal(fractions, [0, 0.5, 0.25, 0.25, 0.25, 0.75, 0.75]);
  assert.equal(found[0], { fraction: 0, text: 'Pulling from a' });
  assert.equal(found.at(-1), { fraction: 0.75, text: 'Already exists' });
});

test('fail with an error that the engine sends in the middle of the stream', async () => {
  const found = await reported({ status: 'x' }, { error: 'manifest unknown' }, { status: 'y' });
  assert.equal(found, [{ fraction: 0, text: 'x' }, 'NotFound']);
});

test('distinguish a refusal of the registry from a failure that is worth a retry', () => {
  for (const [message, code] of [
    ['unauthorized: access denied', 'InvalidArgs'],
    ['no basic auth credentials', 'InvalidArgs'],
    ['Authentication Required', 'InvalidArgs'],
    ['pull access denied for a', 'InvalidArgs'],
    ['manifest unknown', 'NotFound'],
    ['a:1: not found', 'NotFound'],
    ['repository does not exist', 'NotFound'],
    ['invalid reference format', 'InvalidArgs'],
    ['dial tcp: connection refused', 'Unavailable'],
  ] as const)
    assert.is(translatePull(message, 'a:1').code, code, message);
});

test('distinguish a full disk from other failures', () => {
  const full = 'write /var/lib/docker/tmp/GetImageBlob1: no space left on device';
  for (const message of [full, 'mkdir /x: disk quota exceeded']) {
    const error = translatePull(message, 'a:1');
    assert.ok(error instanceof PullDiskFull, message);
    assert.is(error.code, 'Unavailable');
  }
  assert.not.ok(translatePull('no such device', 'a:1') instanceof PullDiskFull);
});

test('quote at most 1024 characters of a message of the registry', () => {
  const { message } = translatePull('x'.repeat(5000), 'a:1');
  assert.is(message, `pulling "a:1": ${'x'.repeat(1024)}`);
});

test('fetch a single tag', () => {
  for (const [reference, whole] of [
    ['a', 'a:latest'],
    ['host:5000/a', 'host:5000/a:latest'],
    ['host:5000/a:1', 'host:5000/a:1'],
    ['a@sha256:1', 'a@sha256:1'],
  ] as const)
    assert.is(withTag(reference), whole);
});

test.run();
