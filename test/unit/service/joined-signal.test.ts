import { getEventListeners } from 'node:events';
import * as assert from 'uvu/assert';
import { JoinedSignal } from '../../../src/service/joined-signal.ts';
import { until } from '../../support/deadline.ts';
import { suite } from '../../support/timed-suite.ts';

const test = suite('joined signal');

test('aborts with the first of its sources, for the same reason', () => {
  for (const index of [0, 1]) {
    const sources = [new AbortController(), new AbortController()];
    using joined = new JoinedSignal(sources.map(({ signal }) => signal));
    assert.not.ok(joined.signal.aborted);
    const reason = new Error('why');
    sources[index]?.abort(reason);
    assert.is(joined.signal.reason, reason);
  }
});

test('is aborted from the beginning when a source is', () => {
  using joined = new JoinedSignal([new AbortController().signal, AbortSignal.abort('before')]);
  assert.is(joined.signal.reason, 'before');
});

test('aborts at the timeout, with the error of AbortSignal.timeout', async () => {
  const source = new AbortController();
  using joined = JoinedSignal.within(1, source.signal);
  const alive = setInterval(() => undefined, 1000);
  try {
    await until(10_000, 'the end of a millisecond', () => joined.signal.aborted);
  } finally {
    clearInterval(alive);
  }
  assert.is(
    joined.signal.reason instanceof DOMException && joined.signal.reason.name,
    'TimeoutError',
  );
});

test('with a timeout aborts with its source before, for the same reason', () => {
  const source = new AbortController();
  using joined = JoinedSignal.within(60_000, source.signal);
  assert.not.ok(joined.signal.aborted);
  source.abort('why');
  assert.is(joined.signal.reason, 'why');
  using late = JoinedSignal.within(60_000, source.signal);
  assert.is(late.signal.reason, 'why');
});

test('never aborts once it is disposed of', async () => {
  const source = new AbortController();
  const joined = JoinedSignal.within(1, source.signal);
  joined[Symbol.dispose]();
  source.abort();
  // a timer of a later end fires after one of an earlier end
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.not.ok(joined.signal.aborted);
});

test('leaves no listener on a longer-lived source when it is disposed of', () => {
  const { signal } = new AbortController();
  {
    using _joined = new JoinedSignal([signal]);
    using _late = JoinedSignal.within(60_000, signal);
    assert.is(getEventListeners(signal, 'abort').length, 2);
  }
  assert.is(getEventListeners(signal, 'abort').length, 0);
});

test('joins the same source as often as there are requests, without a warning', async () => {
  const warnings: string[] = [];
  const note = ({ message }: Error): void => void warnings.push(message);
  process.on('warning', note);
  const { signal } = new AbortController();
  const joined = Array.from({ length: 50 }, () => new JoinedSignal([signal]));
  await new Promise((resolve) => void setImmediate(resolve));
  process.off('warning', note);
  for (const one of joined) one[Symbol.dispose]();
  assert.equal(warnings, []);
});

test('leaves no listener on the other sources when one has aborted', () => {
  const { signal } = new AbortController();
  const short = new AbortController();
  const joined = [new JoinedSignal([signal, short.signal])];
  assert.is(getEventListeners(signal, 'abort').length, 1);
  short.abort();
  joined.push(new JoinedSignal([signal, short.signal]));
  assert.equal(
    joined.map((one) => one.signal.aborted),
    [true, true],
  );
  assert.is(getEventListeners(signal, 'abort').length, 0);
});

test.run();
