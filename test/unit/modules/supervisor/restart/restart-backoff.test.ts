import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Instance } from '../../../../../src/modules/supervisor/module-type.ts';
import {
  RestartBackoff,
  type RestartDelays,
} from '../../../../../src/modules/supervisor/restart/restart-backoff.ts';
import { silentLog } from '../../../../support/log.ts';

const test = suite('restart backoff');
const start = Date.parse('2026-01-01T00:00:00Z');
/** When the backoffs of a module allow its first restart. */
const soon = new Date(start + 10_200);
const made = {
  id: '1',
  ours: true,
  digest: '',
  restartCount: 0,
  autoRestarts: false,
  unhealthy: false,
};

function at(seconds: number): Date {
  return new Date(start + seconds * 1000);
}

function running(): Instance {
  return { ...made, state: { kind: 'running', startedAt: at(0) } };
}

function ended(finishedAt: Date | undefined): Instance {
  return { ...made, state: { kind: 'exited', exitCode: 1, startedAt: at(0), finishedAt } };
}

function endedAt(seconds: number): Instance {
  return ended(at(seconds));
}

/** A backoff whose clock stands at ten seconds. */
function backoff(): RestartBackoff {
  return new RestartBackoff({ name: 'sensor', now: () => at(10), log: silentLog });
}

/** Delays in seconds after runs of these durations. */
function delaysAfter(
  runs: readonly number[],
  restartDelays?: Partial<RestartDelays>,
): readonly number[] {
  let nowS = 0;
  const now = (): Date => at(nowS);
  const module = new RestartBackoff({ name: 'sensor', now, log: silentLog, restartDelays });
  return runs.map((ranS) => {
    const startedAt = at(nowS);
    module.observed({ ...made, state: { kind: 'running', startedAt } }, 'started', at(0));
    nowS += ranS;
    const state = { kind: 'exited', exitCode: 1, startedAt, finishedAt: at(nowS) } as const;
    module.observed({ ...made, state }, 'started', at(0));
    const delayMs = (module.retryAt?.getTime() ?? 0) - now().getTime();
    nowS += delayMs / 1000;
    return delayMs / 1000;
  });
}

test('waits 0.2 s, then 10 s, doubled after each run that fails, 300 s at most', () => {
  assert.equal(delaysAfter([1, 1, 1, 1, 1, 1, 1, 1]), [0.2, 10, 20, 40, 80, 160, 300, 300]);
});

test('starts over after a run of ten minutes', () => {
  assert.equal(delaysAfter([1, 1, 1, 600, 599, 599]), [0.2, 10, 20, 0.2, 10, 20]);
});

test('does not grow when another client stops the module', () => {
  let nowS = 0;
  const module = new RestartBackoff({ name: 'sensor', now: () => at(nowS), log: silentLog });
  const waits = [];
  for (; nowS < 5; nowS++) {
    module.observed({ ...running(), killed: true }, 'started', at(0));
    module.observed({ ...endedAt(nowS + 1), killed: true }, 'started', at(0));
    waits.push(Number(module.retryAt) - Number(at(nowS)));
  }
  assert.equal(waits, [200, 200, 200, 200, 200]);
  assert.equal([module.endCause, module.endedItself], ['exited', false]);
});

test('takes other delays', () => {
  const delays = { onceMs: 1_000, firstMs: 2_000, maxMs: 5_000, healthyMs: 60_000 };
  assert.equal(delaysAfter([1, 1, 1, 1, 60, 1], delays), [1, 2, 4, 5, 1, 2]);
});

test('waits after the end of an observed run', () => {
  const module = backoff();
  module.observed(running(), 'started', at(1));
  module.observed(endedAt(9), 'started', at(1));
  assert.equal(module.retryAt, soon);
  module.observed(endedAt(9), 'started', at(1));
  assert.equal(module.retryAt, soon);
});

test('attributes an unexpected end to the module until it runs again', () => {
  const module = backoff();
  module.observed(endedAt(2), 'started', at(1));
  assert.is(module.endedItself, false);
  module.observed(running(), 'started', at(1));
  module.observed(endedAt(3), 'stopped', at(1));
  assert.is(module.endedItself, false);
  module.observed(running(), 'started', at(1));
  module.observed(endedAt(9), 'started', at(1));
  module.observed(endedAt(9), 'started', at(1));
  assert.is(module.endedItself, true);
  module.observed(running(), 'started', at(1));
  assert.is(module.endedItself, false);
  module.observed(endedAt(9), 'started', at(10));
  assert.is(module.endedItself, false);
});

test('does not wait after the first observed end, nor after a requested one', () => {
  const module = backoff();
  module.observed(endedAt(2), 'started', at(1));
  assert.is(module.retryAt, undefined);
  module.observed(running(), 'started', at(1));
  module.stopped();
  module.observed(endedAt(3), 'started', at(1));
  assert.is(module.retryAt, undefined);
});

test('does not wait after an end from before the engine was reached', () => {
  const module = backoff();
  module.observed(running(), 'started', at(1));
  module.observed(endedAt(2), 'started', at(3));
  assert.is(module.retryAt, undefined);
  module.observed(endedAt(4), 'started', at(3));
  assert.equal(module.retryAt, soon);
});

test('does not wait after the end of a module whose desired state is stopped', () => {
  const module = backoff();
  module.observed(running(), 'started', at(1));
  module.observed(endedAt(2), 'stopped', at(1));
  assert.is(module.retryAt, undefined);
});

test('does not count a failed inspection as a failure of the module', () => {
  const module = backoff();
  assert.equal(module.unobserved(), at(20));
  assert.equal(module.unobserved(), at(30));
  assert.is(module.retryAt, undefined);
  module.observed(running(), 'started', at(1));
  assert.equal(module.unobserved(), at(20));
});

test('resets the delay of failed inspections', () => {
  const module = backoff();
  module.unobserved();
  assert.equal(module.unobserved(), at(30));
  module.reset();
  assert.equal(module.unobserved(), at(20));
});

test('keeps waiting after a failure when an inspection fails', () => {
  const module = backoff();
  module.observed(running(), 'started', at(1));
  assert.equal(module.failed(), at(20));
  module.unobserved();
  assert.equal(module.retryAt, at(20));
});

test('waits after every end when the clock was set back since the engine was reached', () => {
  const module = backoff();
  const reachedAt = at(1_000_000);
  for (let round = 1; round <= 50; round++) {
    module.observed(running(), 'started', reachedAt);
    module.observed(endedAt(round), 'started', reachedAt);
    assert.is.not(module.retryAt, undefined);
    module.reset();
  }
});

test('waits after every end of unknown time', () => {
  const module = backoff();
  for (let round = 1; round <= 50; round++) {
    module.observed(running(), 'started', at(1));
    module.observed(ended(undefined), 'started', at(1));
    assert.is.not(module.retryAt, undefined);
    module.reset();
    module.started();
    module.observed(ended(undefined), 'started', at(1));
    assert.is.not(module.retryAt, undefined);
    module.reset();
  }
});

test('does not wait after such an end at the first inspection once the engine is back', () => {
  const module = backoff();
  module.observed(running(), 'started', at(1));
  module.observed(ended(undefined), 'started', at(3));
  assert.is(module.retryAt, undefined);
  module.started();
  module.observed(ended(undefined), 'started', at(3));
  assert.equal(module.retryAt, soon);
});

test.run();
