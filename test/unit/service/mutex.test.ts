import { getEventListeners } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { KeyedMutex, Mutex } from '../../../src/service/mutex.ts';
import { suite } from '../../support/timed-suite.ts';

const test = suite('mutex');

/** Tasks that record their start and end when they are released. */
function tasks() {
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  const task = (name: string) => async (): Promise<string> => {
    begun.push(name);
    await new Promise<void>((resolve) => ends.set(name, resolve));
    return name;
  };
  const end = async (name: string): Promise<void> => {
    ends.get(name)?.();
    await turn();
  };
  return { begun, task, end };
}

test('runs one task at a time, in the order in which they came', async () => {
  const { begun, task, end } = tasks();
  const mutex = new Mutex();
  const names = ['a', 'b', 'c', 'd'];
  const outcomes = Promise.all(names.map((name) => mutex.run(task(name))));
  await turn();
  for (const [at, name] of names.entries()) {
    assert.equal(begun, names.slice(0, at + 1));
    await end(name);
  }
  assert.equal(await outcomes, names);
});

test('lets no task in between one that ends and the next one', async () => {
  const order: string[] = [];
  const mutex = new Mutex();
  const note = (name: string) => async () => void order.push(name);
  const first = mutex.run(note('first')).then(() => mutex.run(note('late')));
  await Promise.all([first, mutex.run(note('second')), mutex.run(note('third'))]);
  assert.equal(order, ['first', 'second', 'third', 'late']);
});

test('runs the next task after one that failed', async () => {
  const mutex = new Mutex();
  const failure = new Error('its own');
  const failed = mutex.run(() => Promise.reject(failure)).catch((error: unknown) => error);
  const thrown = mutex
    .run(() => {
      throw failure;
    })
    .catch((error: unknown) => error);
  assert.is(await mutex.run(async () => 'next'), 'next');
  assert.equal([await failed, await thrown], [failure, failure]);
});

test('does not run a task that was cancelled in the queue, and preserves the order of the others', async () => {
  const { begun, task, end } = tasks();
  const mutex = new Mutex();
  const { signal, abort } = aborting();
  const first = mutex.run(task('first'));
  const given = mutex.run(task('given up'), signal).catch((error: unknown) => error);
  const last = mutex.run(task('last'));
  abort('left');
  assert.is(await given, 'left');
  await end('first');
  assert.equal(begun, ['first', 'last']);
  await end('last');
  assert.equal(await Promise.all([first, last]), ['first', 'last']);
  assert.is(await mutex.run(async () => 'free'), 'free');
});

test('does not run a task that was cancelled when it was about to begin, and is free then', async () => {
  const mutex = new Mutex();
  const { signal, abort } = aborting();
  let end = (): void => undefined;
  const ends = new Promise<void>((resolve) => {
    end = resolve;
  });
  // the continuation of the task comes between the two, and starts the next one
  void ends.then(() => queueMicrotask(() => abort('left')));
  const first = mutex.run(() => ends);
  let ran = false;
  const given = mutex.run(async () => void (ran = true), signal).catch((error: unknown) => error);
  await turn();
  end();
  assert.is(await given, 'left');
  await first;
  const early = mutex.run(async () => void (ran = true), signal).catch((error: unknown) => error);
  assert.is(await early, 'left');
  assert.is(ran, false);
  assert.is(await mutex.run(async () => 'free'), 'free');
});

test('is held while a task runs or waits', async () => {
  const { task, end } = tasks();
  const mutex = new Mutex();
  assert.not(mutex.isHeld);
  const all = Promise.all([mutex.run(task('first')), mutex.run(task('second'))]);
  assert.ok(mutex.isHeld);
  await turn();
  await end('first');
  assert.ok(mutex.isHeld);
  await end('second');
  await all;
  assert.not(mutex.isHeld);
});

test('leaves no listener on a signal that outlives the task', async () => {
  const mutex = new Mutex();
  const { signal } = new AbortController();
  await Promise.all([1, 2, 3].map(() => mutex.run(() => turn(), signal)));
  assert.is(getEventListeners(signal, 'abort').length, 0);
});

test('does not block a task of another key', async () => {
  const { begun, task, end } = tasks();
  const mutex = new KeyedMutex<string>();
  const all = ['a1', 'a2', 'b1'].map((name) => mutex.run(name.slice(0, 1), task(name)));
  await turn();
  assert.equal(begun, ['a1', 'b1']);
  await end('b1');
  await end('a1');
  assert.equal(begun, ['a1', 'b1', 'a2']);
  await end('a2');
  assert.equal(await Promise.all(all), ['a1', 'a2', 'b1']);
});

test('removes a key once no task of it runs or waits', async () => {
  const { task, end } = tasks();
  const mutex = new KeyedMutex<string>();
  const { signal, abort } = aborting();
  const first = mutex.run('key', task('first'));
  const given = mutex.run('key', task('given up'), signal).catch((error: unknown) => error);
  const failing = mutex.run('other', () => Promise.reject(new Error('its own')));
  assert.is(mutex.size, 2);
  await failing.catch(() => undefined);
  abort('left');
  await given;
  assert.is(mutex.size, 1);
  await end('first');
  await first;
  assert.is(mutex.size, 0);
});

test('holds a key while a task of it runs, whatever ended beside it', async () => {
  const { begun, task, end } = tasks();
  const mutex = new KeyedMutex<string>();
  const { signal, abort } = aborting();
  const first = mutex.run('key', task('first'));
  const given = mutex.run('key', task('given up'), signal).catch(() => undefined);
  abort('left');
  await given;
  const second = mutex.run('key', task('second'));
  await turn();
  assert.equal(begun, ['first']);
  await end('first');
  await end('second');
  assert.equal(await Promise.all([first, second]), ['first', 'second']);
});

function aborting() {
  const controller = new AbortController();
  return { signal: controller.signal, abort: (reason: string) => controller.abort(reason) };
}

test.run();
