import { getEventListeners } from 'node:events';
import { setImmediate as pause } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type LimitedStep,
  StartLimiter,
  type StartLimits,
} from '../../../../src/modules/docker/start-limiter.ts';
import { soon, until } from '../../../support/deadline.ts';

const test = suite('start limiter');

/** A limiter, and steps that record their begin and end when they are told to. */
function limited(limits: StartLimits = {}) {
  const limiter = new StartLimiter({ most: 2, ...limits });
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  const run = (kind: LimitedStep, name: string, signal = soon()): Promise<string> => {
    const step = async (): Promise<string> => {
      begun.push(name);
      await new Promise<void>((resolve) => ends.set(name, resolve));
      return name;
    };
    return limiter.run(kind, step, signal);
  };
  const end = async (name: string): Promise<void> => {
    ends.get(name)?.();
    await pause();
  };
  return { limiter, begun, run, end };
}

test('runs some at once, and the others in the order in which they came', async () => {
  const { begun, run, end } = limited();
  const names = ['a', 'b', 'c', 'd', 'e'];
  const outcomes = Promise.all(names.map((name) => run('create', name)));
  await pause();
  assert.equal(begun, ['a', 'b']);
  await end('b');
  assert.equal(begun, ['a', 'b', 'c']);
  await end('c');
  await end('a');
  assert.equal(begun, names);
  for (const name of ['d', 'e']) await end(name);
  assert.equal(await outcomes, names);
});

test('starts what exists before it creates another one', async () => {
  const { begun, run, end } = limited({ most: 1 });
  const steps = [run('create', 'a'), run('create', 'b'), run('start', 'a starts')];
  await pause();
  for (const name of ['a', 'a starts', 'b']) await end(name);
  assert.equal(begun, ['a', 'a starts', 'b']);
  await Promise.all(steps);
});

test('runs the next one after one that failed', async () => {
  const { limiter, begun, run, end } = limited({ most: 1 });
  const failed = limiter.run('start', () => Promise.reject(new Error('its own')), soon());
  const next = run('start', 'next');
  assert.is(await failed.catch((error: unknown) => String(error)), 'Error: its own');
  await pause();
  assert.equal(begun, ['next']);
  await end('next');
  await next;
});

test('lets others run while some hang', async () => {
  const { begun, run, end } = limited({ countedMs: 1 });
  const steps = ['hangs', 'hangs too', 'next', 'last'].map((name) => run('create', name));
  await until(10_000, 'the last one', () => begun.length === steps.length);
  for (const name of begun) await end(name);
  await Promise.all(steps);
});

test('counts one that hung only once when it ends', async () => {
  const { begun, run, end } = limited({ most: 1, countedMs: 500 });
  const hung = run('create', 'hangs');
  const second = run('create', 'second');
  await until(10_000, 'the second one', () => begun.includes('second'));
  const third = run('create', 'third');
  await end('hangs');
  assert.equal(begun, ['hangs', 'second']);
  await end('second');
  await end('third');
  assert.equal(await Promise.all([hung, second, third]), ['hangs', 'second', 'third']);
});

test('never runs one that is cancelled while it waits', async () => {
  const { begun, run, end } = limited({ most: 1 });
  const cancel = new AbortController();
  const steps = [run('start', 'first'), run('start', 'last')];
  const cancelled = run('start', 'cancelled', cancel.signal).catch((error: unknown) => error);
  const early = run('start', 'early', AbortSignal.abort('gone')).catch((error: unknown) => error);
  cancel.abort('gone too');
  assert.equal(await Promise.all([cancelled, early]), ['gone too', 'gone']);
  assert.is(getEventListeners(cancel.signal, 'abort').length, 0);
  for (const name of ['first', 'last']) await end(name);
  await Promise.all(steps);
  assert.equal(begun, ['first', 'last']);
});

test('passes the place on of one that is cancelled just when it may run', async () => {
  const { begun, run, end } = limited({ most: 1 });
  const cancel = new AbortController();
  const first = run('start', 'first');
  const cancelled = run('start', 'cancelled', cancel.signal).catch((error: unknown) => error);
  const last = run('start', 'last');
  await pause();
  const ended = end('first');
  await first;
  cancel.abort('gone');
  await ended;
  await cancelled;
  await pause();
  assert.ok(begun.includes('last'));
  for (const name of begun.slice(1)) await end(name);
  await last;
});

test.run();
