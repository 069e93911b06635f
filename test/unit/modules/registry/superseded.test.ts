/** An agent whose configuration in modules.yaml changes while an operation that it requested for itself is pending. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../../src/errors.ts';
import { deadline } from '../../../support/deadline.ts';
import { UpdatedModule } from '../../../support/engine/updated-module.ts';

const test = suite('an operation superseded by modules.yaml');
const away = new ServiceError('Unavailable', 'no Identity');

const soon = (code: Promise<string>) => deadline(5_000, code, 'the end of the operation');

const isSettled = (module: UpdatedModule) => () =>
  module.saved.update === undefined && !module.isBusy;

test('is an update that has not been tried: it fails at once', async () => {
  await using module = new UpdatedModule();
  module.unprepared = away;
  const { code } = await module.begin('update', 'a:2');
  await module.until('the failure', () => module.status.error === 'no Identity');
  module.unprepared = undefined;
  let release = (): void => undefined;
  module.preparing = new Promise((resolve) => {
    release = resolve;
  });
  using _released = { [Symbol.dispose]: release };
  await module.reload('a:3');
  assert.is(await soon(code), 'Cancelled');
  assert.is(module.saved.operation, undefined);
  release();
  await module.until('the configured agent', () => module.listed.join() === 'm a:3 running');
  assert.not.ok(module.trace.includes('create a:2'));
  assert.not.ok(module.status.failed);
});

test('is an update whose container is being tried', async () => {
  await using module = new UpdatedModule();
  const { code } = await module.begin('update', 'a:2');
  await module.until('the trial', () => module.status.progressText === 'trial');
  await module.reload('a:3');
  assert.is(await soon(code), 'Cancelled');
  await module.until('the end', isSettled(module));
  await module.until('the configured agent', () => module.listed.join() === 'm a:3 running');
});

test('is a stop before an update: the agent runs', async () => {
  await using module = new UpdatedModule();
  module.reachEngine(false);
  const { code } = await module.begin('stop', '', { resumes: true });
  await module.reload('a:3');
  assert.is(await soon(code), 'Cancelled');
  module.reachEngine(true);
  await module.until('the configured agent', () => module.listed.join() === 'm a:3 running');
});

test('is none when the agent was stopped before an update, and runs', async () => {
  await using module = new UpdatedModule();
  await (await module.begin('stop', '', { resumes: true })).code;
  assert.equal(module.listed, ['m a:1 exited']);
  await module.reload('a:3');
  await module.until('the configured agent', () => module.listed.join() === 'm a:3 running');
});

test('is no stop that an administrator has requested', async () => {
  await using module = new UpdatedModule();
  module.reachEngine(false);
  const { code } = await module.begin('stop');
  await module.reload('a:3');
  module.reachEngine(true);
  assert.is(await soon(code), 'no failure');
  await module.until('the configured agent', () => module.listed.join() === 'm a:3 created');
});

test('is no operation while the configuration stays the same', async () => {
  await using module = new UpdatedModule();
  module.unprepared = away;
  const { code } = await module.begin('update', 'a:2');
  await module.reload('a:1');
  module.unprepared = undefined;
  module.supervisor.retry();
  await module.until('the trial', () => module.status.progressText === 'trial');
  module.advance(10_000);
  assert.is(await soon(code), 'no failure');
  assert.equal(module.listed, ['m a:2 running']);
});

test.run();
