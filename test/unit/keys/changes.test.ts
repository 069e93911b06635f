import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseKeyId } from '../../../src/ids.ts';
import { Changes, waitWhile } from '../../../src/keys/changes.ts';
import { deadline } from '../../support/deadline.ts';
import { failureOf } from '../../support/failure.ts';

const test = suite('changes of keys');
const id = parseKeyId('id');
const other = parseKeyId('other');

/** Work that records its start, and ends when it is released. */
function work(notes: string[], name: string) {
  let end = (): void => undefined;
  let fail: (error: Error) => void = () => undefined;
  const ended = new Promise<void>((resolve, reject) => {
    end = resolve;
    fail = reject;
  });
  const run = async (): Promise<void> => {
    notes.push(name);
    await ended;
  };
  return { run, end, fail };
}

/** Runs everything that is due. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));
const nothing = () => undefined;

test('of one id run one after the other, those of different ids concurrently', async () => {
  const changes = new Changes();
  const notes: string[] = [];
  const [first, second, apart] = ['first', 'second', 'apart'].map((name) => work(notes, name));
  assert.ok(first && second && apart);
  const all = [
    changes.run(id, first.run, () => notes.push('done')),
    changes.run(id, second.run, nothing),
    changes.run(other, apart.run, nothing),
  ];
  await settled();
  assert.equal(notes, ['first', 'apart']);
  assert.is(changes.size, 2);
  first.end();
  await settled();
  assert.equal(notes, ['first', 'apart', 'done', 'second']);
  second.end();
  apart.end();
  await deadline(10_000, Promise.all(all), 'the changes');
  assert.is(changes.size, 0);
});

test('run after one that failed, whose error only its caller receives', async () => {
  const changes = new Changes();
  const notes: string[] = [];
  const first = work(notes, 'first');
  const failing = failureOf(changes.run(id, first.run, () => notes.push('done')));
  const next = changes.run(id, async () => void notes.push('next'), nothing);
  await settled();
  first.fail(new Error('broken'));
  assert.match(await failing, 'broken');
  await deadline(10_000, next, 'the next change');
  assert.equal(notes, ['first', 'done', 'next']);
  assert.is(changes.size, 0);
});

test('wait while they are held, even when the holder fails', async () => {
  for (const ends of [true, false]) {
    const changes = new Changes();
    const notes: string[] = [];
    const reload = work(notes, 'reload');
    const holding = failureOf(changes.hold(reload.run));
    const change = changes.run(id, async () => void notes.push('change'), nothing);
    await settled();
    assert.equal(notes, ['reload']);
    assert.is(changes.size, 0);
    if (ends) reload.end();
    else reload.fail(new Error('broken'));
    await deadline(10_000, change, 'the change');
    assert.equal(notes, ['reload', 'change']);
    await holding;
  }
});

test('are awaited until the timeout', async () => {
  let isRunning = true;
  setTimeout(() => {
    isRunning = false;
  }, 30);
  await waitWhile(() => isRunning, Number.POSITIVE_INFINITY);
  assert.not(isRunning);
  const late = waitWhile(() => true, performance.now() - 1);
  assert.is(await failureOf(deadline(10_000, late, 'the end')), 'Unavailable');
});

test.run();
