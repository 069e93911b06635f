/** Presentation of a module: its state word, its properties, and its status in the HTTP APIs. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runtimeStatusOf } from '../../../../src/modules/api/module-list.ts';
import { moduleProperties, problemOf } from '../../../../src/modules/properties.ts';
import type { Instance, InstanceState } from '../../../../src/modules/supervisor/module-type.ts';
import {
  type ModuleStatus,
  StatusTracker,
  stateOf,
} from '../../../../src/modules/supervisor/status.ts';

const test = suite('module status');
const startedAt = new Date('2026-01-01T00:00:00.123Z');
const finishedAt = new Date('2026-01-02T00:00:00Z');
const end = { startedAt, finishedAt };
const ended = (exitCode: number): InstanceState => ({ kind: 'exited', exitCode, ...end });
const running: InstanceState = { kind: 'running', startedAt };

function instanceOf(state: InstanceState, restartCount = 0): Instance {
  const made = { id: 'c', ours: true, digest: 'd', autoRestarts: false, unhealthy: false };
  return { ...made, state, restartCount };
}

function status(
  state: InstanceState | undefined,
  changes: Partial<ModuleStatus> = {},
): ModuleStatus {
  return {
    goal: 'started',
    state: 'unknown',
    instance: state && instanceOf(state),
    known: true,
    step: undefined,
    progress: 0,
    progressText: '',
    restartCount: 0,
    restartReason: '',
    retryAt: undefined,
    error: '',
    note: '',
    pullWarning: '',
    orderWarning: '',
    failed: false,
    ...changes,
  };
}

const word = (state: InstanceState | undefined, changes: Partial<ModuleStatus> = {}) =>
  stateOf(status(state, changes));
const retryAt = finishedAt;

test('is the transition of its current step', () => {
  assert.is(word(undefined, { step: 'pull' }), 'pulling');
  assert.is(word(undefined, { step: 'create' }), 'starting');
  assert.is(word(undefined, { step: 'create', goal: 'stopped' }), undefined);
  assert.is(word(ended(0), { step: 'start', goal: 'stopped' }), 'starting');
  assert.is(word(running, { step: 'stop' }), 'stopping');
  assert.is(word(ended(0), { step: 'remove' }), undefined);
  assert.is(word(ended(0), { step: 'remove', goal: 'absent' }), 'stopping');
  assert.is(word(ended(0), { step: 'remove', goal: 'erased' }), 'stopping');
});

test('is the state of its container between steps', () => {
  for (const [state, goal, expected] of [
    [running, 'started', 'running'],
    [running, 'stopped', 'stopping'],
    [running, 'restart', 'stopping'],
    [running, 'absent', 'stopping'],
    [{ kind: 'paused', startedAt }, 'started', 'running'],
    [{ kind: 'restarting', exitCode: 1, ...end }, 'started', 'backoff'],
    [{ kind: 'created' }, 'start', 'starting'],
    [{ kind: 'created' }, 'stopped', 'created'],
    [ended(0), 'started', 'starting'],
    [ended(0), 'stopped', 'stopped'],
    [ended(1), 'stopped', 'stopped'],
    [ended(0), 'ended', 'stopped'],
    [ended(1), 'ended', 'failed'],
    [ended(0), 'failed', 'failed'],
    [{ kind: 'dead' }, 'started', 'failed'],
    [{ kind: 'removing' }, 'started', 'unknown'],
    [{ kind: 'unknown' }, 'started', 'unknown'],
    [undefined, 'started', 'starting'],
    [undefined, 'stopped', undefined],
  ] as const)
    assert.is(word(state, { goal }), expected, `${JSON.stringify(state)} ${goal}`);
});

test('is backoff while it waits for a retry', () => {
  assert.is(word(ended(1), { retryAt }), 'backoff');
  assert.is(word({ kind: 'created' }, { retryAt, goal: 'start' }), 'backoff');
  assert.is(word(undefined, { retryAt }), 'backoff');
  assert.is(word(undefined, { retryAt, goal: 'stopped' }), 'backoff');
  assert.is(word(undefined, { retryAt, goal: 'absent' }), undefined);
  assert.is(word(running, { retryAt, goal: 'stopped' }), 'running', 'one that cannot be stopped');
});

test('is failed after a failed operation, and unknown if it cannot be observed', () => {
  assert.is(word(ended(0), { goal: 'stopped', failed: true }), 'failed');
  assert.is(word({ kind: 'created' }, { goal: 'stopped', failed: true }), 'failed');
  assert.is(word(running, { failed: true }), 'running');
  assert.is(word(running, { known: false }), 'unknown');
  assert.is(word(running, { known: false, goal: 'failed' }), 'failed');
});

const settings = {
  image: 'a:1',
  createOptions: { Env: ['SECRET=1'], User: 'u' },
  auth: { password: 'hunter2' },
};

function properties(one: ModuleStatus, operation = '') {
  return moduleProperties({ name: 'sensor', settings, digest: 'shown', status: one, operation });
}

test('has its times in microseconds, and no secrets', () => {
  const shown = properties(status(ended(3), { goal: 'stopped', state: 'stopped' }), 'Stop');
  assert.equal(shown, {
    Name: 'sensor',
    Type: 'docker',
    Image: 'a:1',
    State: 'stopped',
    Operation: 'Stop',
    ExitCode: 3,
    StartedAt: BigInt(startedAt.getTime()) * 1000n,
    FinishedAt: BigInt(finishedAt.getTime()) * 1000n,
    RestartCount: 0,
    RestartReason: '',
    Progress: 0,
    ProgressText: '',
    LastError: '',
    ConfigDigest: 'shown',
    CreateOptions: '{"User":"u"}',
  });
  assert.not.match(JSON.stringify({ ...shown, StartedAt: 0, FinishedAt: 0 }), /hunter2|SECRET/);
});

test('has no end while it runs, and counts all its restarts', () => {
  const instance = instanceOf(running, 2);
  const shown = properties(status(running, { instance, restartCount: 3, progress: 0.5 }));
  assert.equal([shown.ExitCode, shown.FinishedAt, shown.RestartCount], [0, 0n, 5]);
  assert.is(shown.StartedAt, BigInt(startedAt.getTime()) * 1000n);
  assert.is(shown.Progress, 0.5);
  const restarting = properties(status({ kind: 'restarting', exitCode: 4, ...end }));
  assert.is(restarting.ExitCode, 4);
  assert.is(properties(status(undefined)).StartedAt, 0n);
});

test('has as its problem the failure and the exit', () => {
  const problem = (state: InstanceState, changes: Partial<ModuleStatus>) =>
    problemOf(status(state, changes));
  assert.is(problem(ended(3), { retryAt }), 'ended with exit code 3');
  assert.is(problem(ended(0), { retryAt }), 'ended with exit code 0');
  assert.is(problem(ended(3), { goal: 'ended' }), 'ended with exit code 3');
  assert.is(problem(ended(0), { goal: 'ended' }), '');
  assert.is(problem(ended(3), { goal: 'stopped' }), '');
  assert.is(problem(running, { retryAt }), '');
  assert.is(problem(ended(3), { retryAt, error: 'no' }), 'no; ended with exit code 3');
  const shown = properties(status(running, { error: 'e', note: 'n', pullWarning: 'w' }));
  assert.is(shown.LastError, 'e; w; n');
  assert.is(properties(status(running, { error: 'x'.repeat(5000) })).LastError.length, 4096);
});

test('is published at most every half second for progress, of which engines report far more', () => {
  const shown: string[] = [];
  let nowMs = 10_000;
  const tracker = new StatusTracker(
    { goal: 'started', error: '' },
    () => new Date(nowMs),
    ({ progressText }) => shown.push(progressText),
  );
  for (const [ms, text] of [
    [0, 'a'],
    [499, 'b'],
    [500, 'c'],
    [-20_000, 'after the clock was set back'],
  ] as const) {
    nowMs = 10_000 + ms;
    tracker.progress({ fraction: 0.5, text });
  }
  assert.equal(shown, ['a', 'c', 'after the clock was set back']);
});

test('maps to the status words of the HTTP APIs', () => {
  const runtime = (state: InstanceState | undefined) => runtimeStatusOf(status(state));
  for (const [state, expected] of [
    [running, 'running'],
    [{ kind: 'created' }, 'stopped'],
    [{ kind: 'paused', startedAt }, 'stopped'],
    [{ kind: 'restarting', exitCode: 1, ...end }, 'stopped'],
    [{ kind: 'removing' }, 'stopped'],
    [ended(0), 'stopped'],
    [ended(1), 'failed'],
    [{ kind: 'dead' }, 'dead'],
    [{ kind: 'unknown' }, 'unknown'],
    [undefined, 'stopped'],
  ] as const)
    assert.is(runtime(state).runtimeStatus, expected, JSON.stringify(state));
  assert.equal(runtime(ended(3)), {
    runtimeStatus: 'failed',
    startTime: startedAt,
    exit: { code: 3, time: finishedAt },
  });
  assert.equal([runtime(running).exit, runtime(undefined).startTime], [undefined, undefined]);
});

test.run();
