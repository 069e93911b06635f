import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../../../src/errors.ts';
import { PullDiskFull } from '../../../../../src/modules/docker/engine/connection/translate.ts';
import { type MadeRoom, withRoom } from '../../../../../src/modules/docker/images/full-disk.ts';
import { DiskFull, PullFailure } from '../../../../../src/modules/supervisor/module-type.ts';

const test = suite('requests that meet a full disk');
const signal = new AbortController().signal;
const full = new DiskFull('Unavailable', 'creating "web": no space left on device');

/** What happens to a request that fails so often, and how it ends. */
async function outcome(failures: readonly Error[], room: MadeRoom): Promise<readonly string[]> {
  const left = [...failures];
  const trace: string[] = [];
  const request = (): Promise<string> => {
    trace.push('request');
    const failure = left.shift();
    return failure === undefined ? Promise.resolve('done') : Promise.reject(failure);
  };
  const makeRoom = (): Promise<MadeRoom> => {
    trace.push(room.kind);
    return Promise.resolve(room);
  };
  const end = await withRoom(request, makeRoom, signal).catch((error: unknown) => {
    assert.instance(error, failures.at(-1)?.constructor);
    return String(error);
  });
  return [...trace, end];
}

const removed = { kind: 'removed' } as const;

test('are repeated once when images could be removed for them', async () => {
  assert.equal(await outcome([], removed), ['request', 'done']);
  for (const failure of [full, new PullDiskFull('Unavailable', 'pulling "a"')]) {
    const repeated = ['request', 'removed', 'request'];
    assert.equal(await outcome([failure], removed), [...repeated, 'done']);
    const failed = await outcome([failure, failure], removed);
    assert.equal(failed.slice(0, -1), repeated);
    assert.match(failed.at(-1) ?? '', /not enough: free some space on the disk of the engine$/);
    assert.match(failed.at(-1) ?? '', failure.message);
  }
  const other = new ServiceError('AlreadyExists', 'the name is taken');
  assert.equal((await outcome([full, other], removed)).at(-1), String(other));
});

test('fail with the reason when no image could be removed', async () => {
  const text = `${String(full)}; all are needed: free some space on the disk of the engine`;
  const none = { kind: 'none', reason: 'all are needed' } as const;
  assert.equal(await outcome([full], none), ['request', 'none', text]);
});

test('are not confused with those that fail otherwise', async () => {
  for (const failure of [new PullFailure('Unavailable', 'away'), new TypeError('broken')])
    assert.equal(await outcome([failure], removed), ['request', String(failure)]);
});

test.run();
