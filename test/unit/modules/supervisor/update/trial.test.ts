import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Instance, InstanceState } from '../../../../../src/modules/supervisor/module-type.ts';
import { Trial } from '../../../../../src/modules/supervisor/update/trial.ts';
import { refuseRejected } from '../../../../../src/modules/supervisor/update/update.ts';

const test = suite('the new instance of an update');
const limits = { runMs: 10_000, healthMs: 60_000 };
const startedAt = new Date(1_000_000);
const running: InstanceState = { kind: 'running', startedAt };
const exited: InstanceState = { kind: 'exited', exitCode: 0, startedAt, finishedAt: startedAt };

function instance(state: InstanceState, health?: Instance['health']): Instance {
  const flags = { autoRestarts: false, unhealthy: false };
  return { id: 'c', ours: true, digest: '', state, restartCount: 0, ...flags, health };
}

const after = (ms: number): Date => new Date(startedAt.getTime() + ms);

/** The verdict at a time after its start. */
function judged(found: Instance | undefined, ms: number, endedItself = false) {
  return new Trial(limits).judge(found, { goal: 'started', endedItself, now: after(ms) });
}

test('is good after it has run for 10 s, if it has no health check', () => {
  assert.equal(judged(instance(running), 9_999), { kind: 'pending', at: after(10_000) });
  assert.equal(judged(instance(running), 10_000), { kind: 'good' });
});

test('is what its health check says', () => {
  assert.is(judged(instance(running, 'healthy'), 1).kind, 'good');
  assert.is(judged(instance(running, 'unhealthy'), 1).kind, 'bad');
  const starting = instance(running, 'starting');
  assert.equal(judged(starting, 59_999), { kind: 'pending', at: after(60_000) });
  assert.is(judged(starting, 60_000).kind, 'bad');
});

test('is bad if it ends by itself, with whatever exit code', () => {
  assert.is(judged(instance(exited), 1, true).kind, 'bad');
  assert.equal(judged(instance(exited), 1), { kind: 'pending', at: undefined });
});

test('is not judged before it is to run', () => {
  const stopped = { goal: 'stopped', endedItself: true, now: after(1) } as const;
  assert.equal(new Trial(limits).judge(instance(exited), stopped), {
    kind: 'pending',
    at: undefined,
  });
  assert.equal(judged(undefined, 99_999), { kind: 'pending', at: undefined });
});

test('is good in the end even if the clock is set back', () => {
  const trial = new Trial(limits);
  const at = (ms: number) =>
    trial.judge(instance(running), { goal: 'started', endedItself: false, now: after(ms) });
  assert.equal(at(-50_000), { kind: 'pending', at: after(-40_000) });
  assert.equal(at(-40_000), { kind: 'good' });
});

test('is observed anew after it was paused', () => {
  const trial = new Trial(limits);
  const at = (state: InstanceState, ms: number) =>
    trial.judge(instance(state), { goal: 'started', endedItself: false, now: after(ms) });
  assert.is(at({ kind: 'paused', startedAt }, 5_000).kind, 'pending');
  assert.equal(at(running, 60_000), { kind: 'pending', at: after(70_000) });
  assert.equal(at(running, 70_000), { kind: 'good' });
});

test('is refused for 10 s, doubled with each roll-back, at most 5 minutes', () => {
  const refusedMs = (count: number): number => {
    const rejection = { digest: 'd', count, at: startedAt.getTime(), reason: 'it ended' };
    const isRefused = (ms: number, digest = 'd'): boolean => {
      try {
        refuseRejected(rejection, digest, after(ms));
        return false;
      } catch {
        return true;
      }
    };
    assert.not(isRefused(0, 'other'));
    assert.not(isRefused(-1), 'the clock was set back');
    return [10_000, 20_000, 40_000, 300_000].find((ms) => isRefused(ms - 1) && !isRefused(ms)) ?? 0;
  };
  assert.equal([1, 2, 3, 6, 99].map(refusedMs), [10_000, 20_000, 40_000, 300_000, 300_000]);
});

test.run();
