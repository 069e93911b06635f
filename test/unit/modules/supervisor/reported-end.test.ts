/** An end that the engine reports, before the instance can be inspected again. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { moduleWith, running, startedAt } from '../../../support/engine/supervised-module.ts';

const test = suite('an end that the engine reports');
const at = new Date(500);
const end = { name: 'sensor', id: 'c1', exitCode: 7, at };

test('is published before the instance is inspected, and confirmed then', async () => {
  await using module = moduleWith({ state: running });
  await module.rested();
  module.supervisor.reportEnd(end);
  const { state, instance } = module.supervisor.status;
  assert.is(state, 'backoff');
  assert.equal(instance?.state, { kind: 'exited', exitCode: 7, startedAt, finishedAt: at });
  assert.is(instance?.cgroups, undefined);
  module.put({ kind: 'exited', exitCode: 7, startedAt, finishedAt: new Date(400) });
  await module.rested();
  assert.equal(module.states.slice(-2), ['running', 'backoff']);
  module.clock.ms += 1_000;
  await module.rested();
  await module.until('start sensor');
});

test('changes nothing when the instance runs after all', async () => {
  await using module = moduleWith({ state: running });
  await module.rested();
  module.supervisor.reportEnd(end);
  await module.rested();
  assert.is(module.supervisor.status.state, 'running');
  assert.is(module.supervisor.status.retryAt, undefined);
  assert.equal(module.trace, []);
});

test('is not published of another instance, nor where the restart policy decides', async () => {
  for (const [setting, reported] of [
    [{ state: running }, { ...end, id: 'c2' }],
    [{ state: running, container: { ours: false } }, end],
    [{ state: running, policy: 'never' }, end],
    [
      { state: running, policy: 'on-failure' },
      { ...end, exitCode: 0 },
    ],
    [{ state: running, container: { autoRestarts: true } }, end],
  ] as const) {
    await using module = moduleWith(setting);
    await module.rested().catch(() => undefined);
    const { state } = module.supervisor.status;
    module.supervisor.reportEnd(reported);
    assert.is(module.supervisor.status.state, state, JSON.stringify([setting, reported]));
  }
});

test('is not published while a step is in progress, whose outcome is newer', async () => {
  await using module = moduleWith({ state: running });
  await module.rested();
  module.supervisor.wake();
  let isReported = false;
  module.hooks.inspect = () => {
    if (isReported) return;
    isReported = true;
    module.supervisor.reportEnd(end);
    assert.is(module.supervisor.status.state, 'running');
  };
  await module.rested();
  assert.is(isReported, true);
  assert.is(module.supervisor.status.state, 'running');
});

test.run();
