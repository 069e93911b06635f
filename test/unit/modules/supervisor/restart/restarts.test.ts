/** The reasons for restarts, and instances that cannot be continued, with an engine of a single container. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  DamagedInstance,
  type InstanceState,
} from '../../../../../src/modules/supervisor/module-type.ts';
import { moduleWith, running, startedAt } from '../../../../support/engine/supervised-module.ts';

const test = suite('restarts by a supervisor');
type Module = ReturnType<typeof moduleWith>;

const end = (exitCode: number, seconds = 1): InstanceState => ({
  kind: 'exited',
  exitCode,
  startedAt,
  finishedAt: new Date(seconds * 1000),
});

/** The reason and the count of the last restart, after the delay of the first. */
async function restarted(module: Module): Promise<readonly [string, number]> {
  await module.rested();
  module.clock.ms += 200;
  await module.until('start sensor');
  await module.rested();
  const { restartReason, restartCount } = module.supervisor.status;
  return [restartReason, restartCount];
}

test('have the exit code as the reason', async () => {
  await using module = moduleWith({ state: running });
  await module.rested();
  module.put(end(3));
  assert.equal(await restarted(module), ['ended with exit code 3', 1]);
});

test('have a failing health check as the reason, and count', async () => {
  await using module = moduleWith({ state: running });
  await module.rested();
  module.put(running, { unhealthy: true });
  assert.equal(await restarted(module), ['its health check failed', 1]);
});

test('after a failing health check have the delay of the first again after ten healthy minutes', async () => {
  await using module = moduleWith({ state: running });
  const delays: number[] = [];
  for (const ranMs of [1_000, 1_000, 600_000]) {
    await module.rested();
    const start = new Date(module.clock.ms);
    module.clock.ms += ranMs;
    module.put({ kind: 'running', startedAt: start }, { unhealthy: true });
    await module.rested();
    const { retryAt } = module.supervisor.status;
    delays.push((retryAt?.getTime() ?? 0) - module.clock.ms);
    module.clock.ms = retryAt?.getTime() ?? 0;
    await module.rested();
    await module.rested();
  }
  assert.equal(delays, [200, 10_000, 200]);
});

test('have the engine as the reason when the module ended with it', async () => {
  await using module = moduleWith({ state: running, policy: 'never' });
  await module.rested();
  module.status.reachedAt = new Date(2_000);
  module.put(end(0));
  assert.equal(await restarted(module), ['the container engine was restarted', 1]);
});

test('have a reason when the module was not running at the start of the service', async () => {
  await using module = moduleWith({ state: end(0) });
  assert.equal(await restarted(module), ['was not running when the service started', 1]);
});

for (const [exitCode, becomes] of [
  [0, 'stopped'],
  [3, 'failed'],
] as const) {
  test(`are not announced for a module that ends with ${exitCode} at once, if the policy is never`, async () => {
    const started = end(exitCode);
    const state = { kind: 'created' } as const;
    await using module = moduleWith({ state, goal: 'stopped', policy: 'never', started });
    assert.is(await module.operate('Start', 'start'), 'reached');
    await module.rested();
    assert.not.ok(module.states.includes('backoff'), module.states.join());
    assert.is(module.supervisor.status.state, becomes);
  });
}

test('follow no end of its own while the service did not run, if the policy says so', async () => {
  const state = end(0, 2);
  await using own = moduleWith({ state, policy: 'never', engineRanSince: new Date(1_000) });
  await own.rested();
  assert.is(own.supervisor.desired.goal, 'ended');
  await using other = moduleWith({ state, policy: 'never', engineRanSince: new Date(3_000) });
  await other.until('start sensor');
  await using failed = moduleWith({
    state: end(1, 2),
    policy: 'on-failure',
    engineRanSince: new Date(1_000),
  });
  await failed.until('start sensor');
});

test('have the removal by another process as the reason', async () => {
  await using module = moduleWith({ state: running });
  await module.rested();
  module.lose();
  assert.equal(await restarted(module), ['its container was removed', 1]);
});

/** A module whose container vanishes with each start that fails. */
function vanishing(startFailures: 'NotFound'[]): Module {
  const module = moduleWith({ state: undefined, failures: { start: startFailures } });
  const total = startFailures.length;
  let starts = 0;
  module.hooks.inspect = () => {
    const before = starts;
    starts = calls(module, 'start sensor');
    if (starts > before && starts <= total) module.lose();
  };
  return module;
}

const calls = ({ trace }: Module, call: string) => trace.filter((each) => each === call).length;

test('follow at once when the container was removed before its start', async () => {
  await using module = vanishing(['NotFound']);
  await module.until('create sensor');
  await module.rested();
  assert.is(calls(module, 'create sensor'), 2);
  assert.is(module.supervisor.status.state, 'running');
});

test('are delayed when the container is always removed before its start', async () => {
  await using module = vanishing(['NotFound', 'NotFound', 'NotFound']);
  await module.until('create sensor');
  await module.rested();
  assert.is(calls(module, 'create sensor'), 2);
  assert.is.not(module.supervisor.status.retryAt, undefined);
});

test('follow at once when the container of others with its name is gone', async () => {
  await using module = moduleWith({ state: running, container: { id: 'x', ours: false } });
  await module.rested();
  assert.is.not(module.supervisor.status.retryAt, undefined);
  module.lose();
  await module.until('start sensor');
  assert.is(module.trace.filter((call) => call.startsWith('remove')).length, 0);
});

test('have a changed configuration as the reason, and do not count then', async () => {
  await using module = moduleWith({ state: running, container: { digest: 'old' } });
  assert.equal(await restarted(module), ['its configuration changed', 0]);
});

test('on request have that as the reason, and do not count', async () => {
  await using module = moduleWith({ state: running });
  await module.rested();
  assert.is(await module.operate('Restart', 'restart'), 'reached');
  const { restartReason, restartCount } = module.supervisor.status;
  assert.equal([restartReason, restartCount], ['requested', 0]);
  assert.is(await module.operate('Stop', 'stopped'), 'reached');
  assert.is(await module.operate('Start', 'start'), 'reached');
  assert.is(module.supervisor.status.restartReason, 'requested', 'a start is no restart');
});

for (const kind of ['dead', 'removing'] as const) {
  test(`create a container again that is ${kind}, from the image that the engine has`, async () => {
    await using module = moduleWith({ state: { kind }, imagePullPolicy: 'on-create' });
    assert.equal(await restarted(module), ['its container was damaged', 1]);
    const made = ['remove c1', 'check', 'network edge', 'create sensor', 'check', 'start sensor'];
    assert.equal(module.trace, made);
  });
}

const again = ['remove c1', 'check', 'network edge', 'create sensor', 'check', 'start sensor'];

test('create a container again at once that turns out to be damaged', async () => {
  const start = [new DamagedInstance('Unavailable', 'no layer')];
  await using module = moduleWith({ state: end(137), failures: { start } });
  assert.is(await module.operate('Start', 'start'), 'reached');
  const remade = [...again, 'save started'];
  assert.equal(module.trace.slice(-remade.length), remade);
  const { error, restartReason, state } = module.supervisor.status;
  assert.equal([error, restartReason, state], ['', 'its container was damaged', 'running']);
});

test('create it again after the delay of a failure when the next one is damaged, too', async () => {
  const start = ['no layer', 'no layer either', 'none at all'].map(
    (text) => new DamagedInstance('Unavailable', text),
  );
  await using module = moduleWith({ state: end(137), failures: { start } });
  await module.until('start sensor');
  await module.rested();
  assert.is(module.supervisor.status.error, 'no layer either');
  const count = () => module.trace.filter((step) => step === 'start sensor').length;
  assert.is(count(), 2);
  module.clock.ms += 10_000;
  await module.rested();
  await module.rested();
  assert.is(count(), 3, 'each one after a delay');
  module.clock.ms += 20_000;
  await module.rested();
  await module.rested();
  assert.is(module.supervisor.status.state, 'running');
  assert.is(module.supervisor.status.restartReason, 'its container was damaged');
  assert.is(module.supervisor.status.error, '');
});

const paused: InstanceState = { kind: 'paused', startedAt };

test('continue a paused container that is to run, and only such a one', async () => {
  await using module = moduleWith({ state: paused });
  await module.rested();
  assert.equal(module.trace, ['unpause c1']);
  assert.is(module.supervisor.status.restartReason, '');
  await using stopped = moduleWith({ state: paused, goal: 'stopped' });
  await stopped.rested();
  assert.equal(stopped.trace, ['stop c1 undefined']);
});

test('create a paused container again that cannot be continued', async () => {
  await using module = moduleWith({ state: paused, failures: { unpause: ['Unavailable'] } });
  await module.rested();
  assert.equal(module.trace, ['unpause c1']);
  module.clock.ms += 10_000;
  module.supervisor.wake();
  await module.until('start sensor');
  assert.ok(module.trace.includes('remove c1'));
});

test.run();
