import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isServiceError } from '../../../../src/errors.ts';
import {
  type Configured,
  DesiredState,
  type Goal,
  type SavedState,
} from '../../../../src/modules/supervisor/desired-state.ts';
import {
  accepted,
  resumed,
  tried,
  undone,
} from '../../../../src/modules/supervisor/update/update.ts';
import { moduleSource } from '../../../support/engine/module-source.ts';
import { silentLog } from '../../../support/log.ts';

const test = suite('desired state of a module');

/** A desired state on a disk that may be full, and what it saved and notified. */
function desiredState(saved: SavedState = { goal: 'stopped' }) {
  const disk = { isFull: false };
  const states: SavedState[] = [];
  const goals: Goal[] = [];
  const errors: string[] = [];
  const desired = new DesiredState({
    name: 'sensor',
    source: moduleSource('sensor'),
    saved,
    save: (state) => {
      if (disk.isFull) return Promise.reject(new Error('ENOSPC'));
      states.push(state);
      return Promise.resolve();
    },
    onGoal: (goal) => goals.push(goal),
    log: { ...silentLog, error: (message) => errors.push(message) },
  });
  return { desired, disk, states, goals, errors };
}

test('accepts nothing that it cannot save', async () => {
  const { desired, disk, goals } = desiredState();
  disk.isFull = true;
  const accepted = await desired.accept('start', { verb: 'Start' }).catch(String);
  assert.is(accepted, 'Error: ENOSPC');
  assert.equal([desired.goal, desired.operation, goals], ['stopped', undefined, []]);
});

test('settles in memory what it cannot save', async () => {
  const { desired, disk, goals, errors } = desiredState();
  await desired.accept('start', { verb: 'Start' });
  disk.isFull = true;
  await desired.settle('stopped');
  assert.equal([desired.goal, desired.operation], ['stopped', undefined]);
  assert.equal(goals, ['start', 'stopped']);
  assert.equal(errors, ['desired state not saved']);
});

test('saves the failure of a module, and clears it with another goal', async () => {
  const { desired, states } = desiredState({ goal: 'absent' });
  await desired.accept('stopped', { verb: 'CreateModule' });
  await desired.settle('failed', 'no image');
  assert.equal([desired.failure, states.at(-1)?.failure], ['no image', 'no image']);
  await desired.accept('absent', { verb: 'DeleteModule' });
  await desired.settle('stopped', 'not removed');
  assert.is(desired.failure, '');
});

test('advances only from the goal that the supervisor has reached', async () => {
  const { desired } = desiredState({ goal: 'start' });
  await desired.accept('stopped', { verb: 'Stop' });
  await desired.advance('start', 'started');
  assert.is(desired.goal, 'stopped');
});

test('refuses operations on a removed module, and does not remove it before earlier ones', async () => {
  const { desired } = desiredState({ goal: 'absent' });
  const accepting = desired.accept('start', { verb: 'Start' });
  assert.is(await desired.close('absent'), false);
  await accepting;
  await desired.settle('absent');
  assert.is(await desired.close('absent'), true);
  const error = await desired.accept('start', { verb: 'Start' }).catch((thrown: unknown) => thrown);
  assert.ok(isServiceError(error, 'NotFound'));
});

const stop = { verb: 'Stop', resumes: true } as const;
const next = { other: moduleSource('sensor', 'localhost/a:2'), digest: '2', start: false };
const failure = { reason: 'no image', at: new Date(0) };

test('returns to running after a refused update for which the module was stopped', async () => {
  const { desired, states } = desiredState({ goal: 'started' });
  await desired.accept('stopped', stop);
  await desired.settle();
  assert.is(states.at(-1)?.resumes, true, 'it is saved');
  await desired.change(resumed);
  assert.equal([desired.goal, desired.resumes], ['start', false]);
});

test('returns to running after an update that fails, or is rolled back', async () => {
  for (const begin of [accepted, (now: Configured) => tried(accepted(now, next), 'old')]) {
    const { desired } = desiredState({ goal: 'started' });
    await desired.accept('stopped', stop);
    await desired.settle();
    await desired.change((now) => begin(now, next));
    await desired.force((now) => undone(now, failure));
    assert.is(desired.goal, 'start');
  }
});

test('stays stopped after a failed update of a module that another client stopped, or that did not run', async () => {
  for (const [goal, operation] of [
    ['started', { verb: 'Stop' }],
    ['stopped', stop],
  ] as const) {
    const { desired } = desiredState({ goal });
    await desired.accept('stopped', operation);
    await desired.settle();
    await desired.change((now) => accepted(now, next));
    await desired.force((now) => undone(now, failure));
    assert.is(desired.goal, 'stopped', goal);
  }
});

test('returns to running after a refused update also when the stop before it was repeated', async () => {
  const { desired } = desiredState({ goal: 'started' });
  for (let times = 0; times < 2; times++) {
    await desired.accept('stopped', stop);
    await desired.settle();
  }
  await desired.change(resumed);
  assert.is(desired.goal, 'start');
});

test('does not return to running for an update before the one that fails', async () => {
  const { desired } = desiredState({ goal: 'started' });
  await desired.accept('stopped', stop);
  await desired.settle();
  await desired.change((now) => tried(accepted(now, next), 'old'));
  await desired.change(resumed);
  assert.is(desired.goal, 'stopped');
});

test('does not remove the container that an update parks, although an earlier one has left it', () => {
  const saved: SavedState = { goal: 'started', former: ['c1', 'c2'] };
  const next = { other: moduleSource('sensor', 'a:2'), digest: 'd' };
  const { state } = tried(accepted({ source: moduleSource('sensor'), state: saved }, next), 'c1');
  assert.equal([state.former, state.update?.oldId], [['c2'], 'c1']);
});

test.run();
