import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isServiceError } from '../../../../src/errors.ts';
import {
  checkLimits,
  FairLimiter,
  type FairLimits,
} from '../../../../src/service/authorization/fair-limiter.ts';
import { deadline } from '../../../support/deadline.ts';

const test = suite('fair limiter');

const limits: FairLimits = { perUid: 2, total: 4, slowPerUid: 1, slowTotal: 2 };

/** Actions that end when they are released, and the order in which they began. */
class Actions {
  readonly begun: string[] = [];
  readonly #limiter: FairLimiter;
  readonly #ends = new Map<string, (error?: Error) => void>();

  constructor(fairLimits = limits) {
    this.#limiter = new FairLimiter(fairLimits);
  }

  /** Queues an action of this name. */
  enqueue(uid: number, name: string, { slow = false, signal = new AbortController().signal } = {}) {
    return this.#limiter.run({ uid, slow, signal }, () => {
      this.begun.push(name);
      return new Promise<string>((resolve, reject) => {
        this.#ends.set(name, (error) => (error === undefined ? resolve(name) : reject(error)));
      });
    });
  }

  /** Ends it, and lets queued actions begin. */
  async end(name: string, error?: Error): Promise<void> {
    this.#ends.get(name)?.(error);
    await settled();
  }
}

/** Resolves when everything that follows without input has happened. */
function settled(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

const inTime = <T>(promise: Promise<T>): Promise<T> =>
  deadline(5000, promise, 'the end of an action');

test('runs up to the per-uid limit of actions of one uid at once', async () => {
  const actions = new Actions();
  for (const name of ['a', 'b', 'c', 'd']) void actions.enqueue(1, name);
  await settled();
  assert.equal(actions.begun, ['a', 'b']);
  await actions.end('b');
  assert.equal(actions.begun, ['a', 'b', 'c']);
  await actions.end('a');
  await actions.end('c');
  assert.equal(actions.begun, ['a', 'b', 'c', 'd']);
});

test('runs up to the total limit at once, and gives free slots to the uids round-robin', async () => {
  const actions = new Actions({ ...limits, total: 2 });
  for (const at of [1, 2, 3, 4, 5]) void actions.enqueue(1, `1-${at}`);
  for (const at of [1, 2]) void actions.enqueue(2, `2-${at}`);
  await settled();
  assert.equal(actions.begun, ['1-1', '1-2']);
  for (const name of ['1-1', '1-2', '1-3', '2-1']) await actions.end(name);
  assert.equal(actions.begun.slice(2), ['1-3', '2-1', '1-4', '2-2']);
});

test('limits interactive actions, of one uid and in all, and lets others pass them', async () => {
  const actions = new Actions();
  void actions.enqueue(1, 'slow 1', { slow: true });
  void actions.enqueue(1, 'slow 2', { slow: true });
  void actions.enqueue(1, 'quick');
  await settled();
  assert.equal(actions.begun, ['slow 1', 'quick']);
  void actions.enqueue(2, 'slow 3', { slow: true });
  void actions.enqueue(3, 'slow 4', { slow: true });
  void actions.enqueue(3, 'quick 2');
  await settled();
  assert.equal(actions.begun, ['slow 1', 'quick', 'slow 3', 'quick 2']);
  await actions.end('slow 3');
  assert.equal(actions.begun.slice(4), ['slow 4']);
  await actions.end('quick');
  assert.equal(actions.begun.slice(4), ['slow 4']);
  await actions.end('slow 1');
  assert.equal(actions.begun.slice(4), ['slow 4', 'slow 2']);
});

test('releases the slot of an action that fails', async () => {
  const actions = new Actions({ ...limits, perUid: 1, slowPerUid: 1 });
  const failed = actions.enqueue(1, 'a', { slow: true }).catch((error: unknown) => error);
  void actions.enqueue(1, 'b', { slow: true });
  await settled();
  await actions.end('a', new Error('no luck'));
  assert.match(String(await inTime(failed)), 'no luck');
  assert.equal(actions.begun, ['a', 'b']);
});

test('never runs an action that was cancelled in the queue, and does not touch running ones', async () => {
  const actions = new Actions({ ...limits, perUid: 1 });
  const leaving = new AbortController();
  const { signal } = leaving;
  const running = actions.enqueue(1, 'a', { signal });
  const waiting = actions.enqueue(1, 'b', { signal }).catch((error: unknown) => error);
  const other = actions.enqueue(1, 'c');
  await settled();
  leaving.abort();
  assert.ok(isServiceError(await inTime(waiting), 'Cancelled'));
  const late = await inTime(actions.enqueue(1, 'd', { signal }).catch((error: unknown) => error));
  assert.ok(isServiceError(late, 'Cancelled'));
  await actions.end('a');
  assert.is(await inTime(running), 'a');
  await actions.end('c');
  assert.is(await inTime(other), 'c');
  assert.equal(actions.begun, ['a', 'c']);
});

test('allows two polkit requests of a uid and eight in all, half of them interactive', () => {
  assert.equal(checkLimits, { perUid: 2, total: 8, slowPerUid: 1, slowTotal: 4 });
});

test.run();
