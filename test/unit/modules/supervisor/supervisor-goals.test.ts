/** The order in which a supervisor persists, acts and reports, with an engine of a single container. */
import { setImmediate } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../../src/errors.ts';
import type { InstanceState } from '../../../../src/modules/supervisor/module-type.ts';
import { deadline, until } from '../../../support/deadline.ts';
import {
  gate,
  longMs,
  moduleWith,
  running,
  startedAt,
} from '../../../support/engine/supervised-module.ts';
import { via } from '../../../support/via.ts';

const test = suite('desired states of a supervisor');

const isStart = (call: string): boolean => call.startsWith('start ');

test('are persisted before they are acted on', async () => {
  await using module = moduleWith({ goal: 'stopped', state: { kind: 'created' } });
  await module.rested();
  assert.equal(module.trace, []);
  assert.is(await module.operate('Start', 'start'), 'reached');
  assert.equal(module.trace, ['save start', 'check', 'start sensor', 'save started']);
  module.trace.length = 0;
  assert.is(await module.operate('Restart', 'restart', 7), 'reached');
  const restarted = [
    'save restart',
    'stop c1 7',
    'save start',
    'check',
    'start sensor',
    'save started',
  ];
  assert.equal(module.trace, restarted);
  module.trace.length = 0;
  assert.is(await module.operate('Stop', 'stopped', 3), 'reached');
  assert.equal(module.trace, ['save stopped', 'stop c1 3']);
  module.trace.length = 0;
  assert.is(await module.operate('DeleteModule', 'absent'), 'reached');
  assert.equal(module.trace, ['save absent', 'remove c1', 'forget']);
  assert.is(await module.ended, 'absent');
});

test('create a container only after its mounts are checked', async () => {
  await using module = moduleWith({ goal: 'stopped' });
  await module.until('create sensor');
  await module.rested();
  assert.equal(module.trace, ['check', 'network edge', 'create sensor']);
});

test('are not reached with forbidden mounts', async () => {
  for (const state of [undefined, { kind: 'created' } as const]) {
    await using module = moduleWith({ state, failures: { check: ['AccessDenied'] } });
    await module.until('check');
    await module.rested();
    assert.equal(module.trace, ['check']);
    assert.is(module.supervisor.status.error, 'no check');
  }
});

test('delete an identity after the module stopped and before its record is removed', async () => {
  await using module = moduleWith({ state: running });
  await module.rested();
  assert.is(await module.operate('DeleteModule', 'erased'), 'reached');
  const order = ['save erased', 'stop c1 undefined', 'erase', 'remove c1', 'forget'];
  assert.equal(module.trace, order);
});

test('preserve the record and the container while the identity cannot be deleted', async () => {
  await using module = moduleWith({ state: running, failures: { erase: ['Unavailable'] } });
  await module.rested();
  assert.is(await module.operate('DeleteModule', 'erased'), 'Unavailable');
  assert.not.ok(module.trace.includes('remove c1') || module.trace.includes('forget'));
  module.supervisor.retry();
  assert.is(await deadline(longMs, module.ended, 'the end'), 'absent');
  assert.equal(module.trace.slice(-4), ['erase', 'erase', 'remove c1', 'forget']);
});

test('are deleted once their record is gone', async () => {
  const { opened, open } = gate();
  await using module = moduleWith({ state: running, held: { call: 'forget', until: opened } });
  await module.rested();
  const deletion = module.operate('DeleteModule', 'absent');
  await module.until('forget');
  assert.is(await Promise.race([deletion, setImmediate('pending')]), 'pending');
  open();
  assert.is(await deletion, 'reached');
});

test('do not touch a foreign container', async () => {
  await using module = moduleWith({ state: running, container: { ours: false }, goal: 'stopped' });
  await module.rested();
  assert.not.ok(
    module.trace.some((call) => /^(stop|remove)/.test(call)),
    module.trace.join(),
  );
  assert.is(await module.operate('DeleteModule', 'absent'), 'reached');
  assert.not.ok(
    module.trace.some((call) => /^(stop|remove)/.test(call)),
    module.trace.join(),
  );
});

test('replace a container of another configuration', async () => {
  await using module = moduleWith({ state: running, container: { digest: 'old' } });
  await module.until('start sensor');
  await module.rested();
  const order = ['stop c1 undefined', 'remove c1', 'check', 'network edge', 'create sensor'];
  assert.equal(module.trace, [...order, 'check', 'start sensor']);
});

const end = (exitCode: number, seconds: number): InstanceState => ({
  kind: 'exited',
  exitCode,
  startedAt,
  finishedAt: new Date(seconds * 1000),
});

for (const [policy, exitCode, restarts] of [
  ['always', 0, true],
  ['always', 1, true],
  ['on-unhealthy', 0, false],
  ['on-unhealthy', 1, true],
  ['on-failure', 0, false],
  ['on-failure', 1, true],
  ['never', 0, false],
  ['never', 1, false],
] as const) {
  const becomes = restarts ? 'is started again soon' : 'has ended for good';
  test(`that end with ${exitCode} and the policy ${policy}: the module ${becomes}`, async () => {
    await using module = moduleWith({ state: running, policy });
    await module.rested();
    module.put(end(exitCode, 1));
    await module.rested();
    await module.rested();
    const { status, desired } = module.supervisor;
    assert.is(desired.goal, restarts ? 'started' : 'ended');
    assert.equal(status.retryAt, restarts ? new Date(1_200) : undefined);
    assert.not.ok(module.trace.includes('start sensor'));
    module.clock.ms = 1_200;
    await module.rested();
    await module.rested();
    assert.is(module.trace.includes('start sensor'), restarts);
    assert.is(module.supervisor.status.restartCount, restarts ? 1 : 0);
  });
}

for (const policy of ['always', 'on-unhealthy', 'on-failure', 'never'] as const) {
  test(`of a module that is unhealthy, with the policy ${policy}`, async () => {
    await using module = moduleWith({ state: running, policy });
    await module.rested();
    module.put(running, { unhealthy: true });
    await module.rested();
    await module.rested();
    const restarts = policy === 'always' || policy === 'on-unhealthy';
    assert.equal(module.trace, restarts ? ['save restart', 'stop c1 undefined', 'save start'] : []);
    module.clock.ms = 1_200;
    module.supervisor.wake();
    if (restarts) await module.until('save started');
    await module.rested();
    assert.is(module.trace.includes('start sensor'), restarts);
  });
}

test('that are refused stop a running module, and report the reason', async () => {
  const refusal = new ServiceError('AccessDenied', 'not listed');
  await using module = moduleWith({ state: running, refusal });
  await module.until('stop c1 undefined');
  await module.rested();
  assert.equal(module.trace, ['stop c1 undefined']);
  assert.is(module.supervisor.status.error, 'not listed');
  assert.is(module.supervisor.desired.goal, 'started', 'it restarts when it is allowed again');
});

test('fail with the reason, are retried later, and at once when another one is requested', async () => {
  await using module = moduleWith({
    goal: 'stopped',
    state: { kind: 'created' },
    failures: { start: ['Unavailable', 'Unavailable'] },
  });
  await module.rested();
  assert.is(await module.operate('Start', 'start'), 'Unavailable');
  await module.rested();
  assert.is(module.supervisor.status.error, 'no start sensor');
  const tries = () => module.trace.filter((call) => call === 'start sensor').length;
  await module.rested();
  assert.is(tries(), 1, 'not at every event');
  assert.is(await module.operate('Start', 'start'), 'Unavailable');
  assert.is(tries(), 2);
  assert.is(await module.operate('Start', 'start'), 'reached');
  assert.is(module.supervisor.status.error, '');
});

test('wait for an unavailable engine, which is not a failure of the module', async () => {
  await using module = moduleWith({ state: { kind: 'created' } });
  module.status.error = 'no engine';
  await module.rested();
  const { status } = module.supervisor;
  assert.equal([status.known, status.retryAt, module.trace], [false, undefined, []]);
  assert.is(await module.operate('Stop', 'stopped'), 'Unavailable');
  module.status.error = '';
  assert.is(await module.operate('Start', 'start'), 'reached');
});

test('of a creation query the registry once for each attempt of the caller', async () => {
  await using module = moduleWith({
    goal: 'failed',
    failures: { create: ['Unavailable'] },
    imagePullPolicy: 'on-create',
  });
  await module.rested();
  assert.is(await module.operate('CreateModule', 'stopped'), 'Unavailable');
  assert.is(await module.operate('CreateModule', 'stopped'), 'reached');
  const made = ['save stopped', 'pull', 'check', 'network edge', 'create sensor'];
  assert.equal(module.trace, [...made, ...made]);
});

test('delete an identity again that was registered meanwhile', async () => {
  await using module = moduleWith({ state: running, failures: { remove: ['Unavailable'] } });
  await module.rested();
  assert.is(await module.operate('DeleteModule', 'erased'), 'Unavailable');
  assert.is(await module.operate('Start', 'start'), 'reached');
  assert.is(await module.operate('DeleteModule', 'erased'), 'reached');
  assert.is(module.trace.filter((call) => call === 'erase').length, 2);
});

test('delete the identity of a module without a container', async () => {
  await using module = moduleWith({ goal: 'failed' });
  await module.rested();
  assert.is(await module.operate('DeleteModule', 'erased'), 'reached');
  assert.equal(module.trace, ['save erased', 'erase', 'forget']);
});

test('restart a module that ended while the service was stopped, under any policy', async () => {
  await using module = moduleWith({ state: end(0, 0.5), policy: 'never' });
  await module.until('start sensor');
  assert.is(module.supervisor.desired.goal, 'started');
});

test('are not reached if the service stops first', async () => {
  const { opened, open } = gate();
  const held = { call: 'start sensor', until: opened };
  const module = moduleWith({ goal: 'stopped', state: { kind: 'created' }, held });
  await module.rested();
  const starting = module.operate('Start', 'start');
  await module.until('start sensor');
  const stopped = module[Symbol.asyncDispose]();
  open();
  await stopped;
  assert.equal([await module.ended, await starting], ['stopped', 'Unavailable']);
  assert.is(module.supervisor.desired.goal, 'started', 'the next process continues with it');
});

test('report each transition as a state, once', async () => {
  await using module = moduleWith({ goal: 'stopped', state: { kind: 'created' } });
  await module.rested();
  assert.is(await module.operate('Start', 'start'), 'reached');
  await module.rested();
  assert.is(await module.operate('Restart', 'restart'), 'reached');
  await module.rested();
  module.put(end(1, 1));
  await module.rested();
  await module.rested();
  assert.is(await module.operate('Start', 'start'), 'reached');
  await module.rested();
  assert.is(await module.operate('Stop', 'stopped'), 'reached');
  await module.rested();
  const words = 'created starting running stopping starting running backoff starting running';
  assert.is(module.states.join(' '), `${words} stopping stopped`);
});

test('of an operation that failed and was undone are reported as failed, until the next one', async () => {
  await using module = moduleWith({
    goal: 'stopped',
    state: { kind: 'created' },
    failures: { start: ['Unavailable'] },
  });
  await module.rested();
  const undone = { isUndone: true };
  assert.is(await module.operate('Start', 'start', undefined, undone), 'Unavailable');
  await module.supervisor.desired.settle('stopped');
  await deadline(longMs, module.supervisor.undo(), 'the rollback');
  module.supervisor.release();
  const { failed, state, error } = module.supervisor.status;
  assert.equal([failed, state, error], [true, 'failed', 'no start sensor']);
  assert.is(await module.operate('Start', 'start', undefined, undone), 'reached');
  assert.equal([module.supervisor.status.failed, module.supervisor.status.error], [false, '']);
});

test('are aborted with the reason of the signal of the caller, before and during the operation', async () => {
  const { opened, open } = gate();
  const held = { call: 'start sensor', until: opened };
  await using module = moduleWith({ goal: 'stopped', state: { kind: 'created' }, held });
  await module.rested();
  const caller = new AbortController();
  const left = new ServiceError('Cancelled', 'left');
  const start = () => module.operate('Start', 'start', undefined, { signal: caller.signal });
  const starting = start();
  await module.until('start sensor');
  caller.abort(left);
  assert.is(await starting, 'Cancelled');
  open();
  assert.is(await start(), 'Cancelled');
});

test('of a failed creation report the reason, after a restart of the service too', async () => {
  await using module = moduleWith({ goal: 'failed', failure: 'no image' });
  await module.rested();
  const { state, error } = module.supervisor.status;
  assert.equal([state, error, module.trace], ['failed', 'no image', []]);
});

test('need the image to create a container, but not to start one', async () => {
  await using module = moduleWith({ hasImage: false, state: { kind: 'created' } });
  await module.until('start sensor');
  await using missing = moduleWith({ hasImage: false });
  await missing.rested();
  assert.equal(missing.trace, []);
  assert.match(missing.supervisor.status.error, /has no image "a".*never/);
});

test('never create a container beside a foreign one, whose name is taken', async () => {
  await using module = moduleWith({
    goal: 'stopped',
    state: running,
    container: { ours: false },
    hasImage: false,
  });
  assert.is(await module.operate('CreateModule', 'stopped'), 'AlreadyExists');
  assert.equal(module.trace, ['save stopped']);
});

test('are reached by a start although the container ended at once', async () => {
  const ended: InstanceState = { kind: 'exited', exitCode: 1, startedAt, finishedAt: new Date(2) };
  await using module = moduleWith({
    goal: 'stopped',
    state: { kind: 'created' },
    started: ended,
  });
  await module.rested();
  assert.is(await module.operate('Start', 'start'), 'reached');
  assert.equal(module.supervisor.status.retryAt, new Date(1_200));
});

test('show no start of a module that was stopped because it may not run', async () => {
  const refusal = new ServiceError('AccessDenied', 'allow_elevated');
  await using module = moduleWith({ state: running, refusal });
  await module.until('stop c1 undefined');
  await module.rested();
  const before = module.states.length;
  await module.rested();
  assert.not.ok(module.states.includes('starting'), module.states.join(' '));
  assert.is(module.states.length, before);
});

test('are retried at once when the engine was reached anew during a step', async () => {
  await using module = moduleWith({
    state: { kind: 'created' },
    failures: { start: ['Unavailable'] },
  });
  module.hooks.inspect = () => {
    if (module.trace.some(isStart)) module.status.reachedAt = new Date(500);
  };
  await until(longMs, 'a second start', () => module.trace.filter(isStart).length === 2);
  assert.is(module.clock.ms, 1_000);
});

test('that are reached are published when the operation is released', async () => {
  await using module = moduleWith({ goal: 'stopped', state: { kind: 'created' } });
  await module.rested();
  const { supervisor, publications } = module;
  await supervisor.desired.accept('start', { verb: 'Start' });
  const options = { isCreation: false, requestId: 'r', isPatient: () => false };
  await deadline(
    longMs,
    supervisor.reach({ ...options, isUndone: () => false }, via.signal),
    'the start',
  );
  const { count } = publications;
  await module.rested();
  assert.is(publications.count, count);
  supervisor.release();
  assert.is(publications.count, count + 1);
  assert.is(module.states.at(-1), 'running');
});

test('warn that a registry is unreachable, and use the image of the engine', async () => {
  await using module = moduleWith({
    goal: 'failed',
    imagePullPolicy: 'on-create',
    failures: { pull: ['Unavailable'] },
  });
  await module.rested();
  assert.is(await module.operate('CreateModule', 'stopped'), 'reached');
  assert.is(
    module.supervisor.status.pullWarning,
    'the image "a" that the engine has is used: no pull',
  );
});

test.run();
