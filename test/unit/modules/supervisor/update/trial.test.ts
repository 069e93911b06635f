import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseModuleName } from '../../../../../src/ids.ts';
import type { Instance, InstanceState } from '../../../../../src/modules/supervisor/module-type.ts';
import { Trial, trialLimits } from '../../../../../src/modules/supervisor/update/trial.ts';
import { refuseRejected, undone } from '../../../../../src/modules/supervisor/update/update.ts';

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

interface Moment {
  readonly trial: Trial;
  /** By the monotonic clock. */
  readonly ms: number;
  readonly now?: Date;
  readonly endedItself?: boolean;
}

function judgedBy(
  { trial, ms, now = after(ms), endedItself = false }: Moment,
  found: Instance | undefined,
) {
  return trial.judge(found, { goal: 'started', endedItself, now, monotonicMs: ms });
}

/** The verdict at a time after the first observation. */
function judged(found: Instance | undefined, ms: number, endedItself = false) {
  const trial = new Trial(limits);
  judgedBy({ trial, ms: 0 }, found);
  return judgedBy({ trial, ms, endedItself }, found);
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

test('has 10 s to run, 10 minutes to become healthy and 5 to start', () => {
  assert.equal(trialLimits, { runMs: 10_000, healthMs: 600_000, startMs: 300_000 });
});

test('is bad if it ends by itself, with whatever exit code', () => {
  assert.is(judged(instance(exited), 1, true).kind, 'bad');
  assert.equal(judged(instance(exited), 1), { kind: 'pending', at: undefined });
});

test('is not judged before it is to run', () => {
  const times = { now: after(1), monotonicMs: 1 };
  const stopped = { goal: 'stopped', endedItself: true, ...times } as const;
  assert.equal(new Trial(limits).judge(instance(exited), stopped), {
    kind: 'pending',
    at: undefined,
  });
  assert.equal(judged(undefined, 99_999), { kind: 'pending', at: undefined });
});

test('is good when it was seen to run for 10 s, whatever the clock says', () => {
  const yearsMs = 10 * 365 * 86_400_000;
  for (const jumpMs of [-yearsMs, -50_000, 0, 3_600_000, yearsMs]) {
    const trial = new Trial(limits);
    const at = (ms: number, now: Date) => judgedBy({ trial, ms, now }, instance(running));
    // as it may have run before this process
    assert.equal(at(0, after(jumpMs)), { kind: 'pending', at: after(jumpMs + 10_000) });
    assert.equal(at(9_999, after(-jumpMs)), { kind: 'pending', at: after(1 - jumpMs) });
    assert.equal(at(10_000, after(jumpMs)), { kind: 'good' });
  }
});

test('is observed anew after it was started again, and where it is another one', () => {
  const again = { kind: 'running', startedAt: after(1) } as const;
  for (const other of [instance(again), { ...instance(running), id: 'other' }]) {
    const trial = new Trial(limits);
    judgedBy({ trial, ms: 0 }, instance(running));
    assert.is(judgedBy({ trial, ms: 10_000 }, other).kind, 'pending');
    assert.is(judgedBy({ trial, ms: 20_000 }, other).kind, 'good');
  }
});

test('is observed anew after it was paused', () => {
  const trial = new Trial(limits);
  const at = (state: InstanceState, ms: number) => judgedBy({ trial, ms }, instance(state));
  assert.is(at(running, 0).kind, 'pending');
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

test('is refused for as long as its own roll-backs say, not those of another one', () => {
  const name = parseModuleName('sensor');
  const settings = { image: 'a', createOptions: {}, auth: undefined };
  const source = { name, settings, env: {}, elevated: false };
  const countAfter = (before: string): number | undefined => {
    const rejected = { digest: before, count: 3, at: 0, reason: '' };
    const update = { phase: 'trial', other: source, digest: 'd', previous: 'started' } as const;
    const tried = { source, state: { goal: 'started', update, rejected } } as const;
    return undone(tried, { reason: 'it ended', at: startedAt }).state.rejected?.count;
  };
  assert.is(countAfter('d'), 4);
  assert.is(countAfter('other'), 1);
});

test.run();
