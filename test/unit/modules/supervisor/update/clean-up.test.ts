/** What is left of an update that cannot be removed: the module is supervised beside it. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../../../src/errors.ts';
import { EngineUnreachable } from '../../../../../src/modules/supervisor/module-type.ts';
import { trialMs, UpdatedModule } from '../../../../support/engine/updated-module.ts';

const test = suite('modules whose updates cannot be cleaned up');
const busy = new ServiceError('Unavailable', 'device or resource busy');

/** A module whose parked container cannot be removed, and whose update is good. */
async function updated(failure: ServiceError = busy): Promise<UpdatedModule> {
  const module = new UpdatedModule();
  module.failures.set('remove c1', failure);
  await module.begin('update', 'a:2');
  await module.until('the trial', () => module.status.progressText === 'trial');
  module.advance(trialMs);
  await module.until('the failure', () => module.status.note.includes(failure.message));
  return module;
}

test('are updated for their callers, and report what is left', async () => {
  await using module = await updated();
  await module.until('the end of the operation', () => !module.isBusy);
  assert.equal([module.saved.update?.phase, module.status.error], ['done', '']);
  assert.is(module.status.state, 'running');
  assert.is(
    module.status.note,
    'what is left of an update cannot be removed: device or resource busy',
  );
});

test('are restarted', async () => {
  await using module = await updated();
  module.end('c2');
  await module.until('the delay', () => module.status.retryAt !== undefined);
  module.advance(200);
  await module.until('the restart', () => module.status.state === 'running');
  assert.equal(module.listed, ['m a:2 running', 'parked-c1 a:1 exited']);
  assert.is(module.status.restartReason, 'ended with exit code 1');
});

test('are restarted while an engine does not respond to the removal in time', async () => {
  await using module = await updated(new EngineUnreachable('Unavailable', 'no response in 60 s'));
  await module.until('the end of the operation', () => !module.isBusy);
  module.end('c2');
  await module.until('the delay', () => module.status.retryAt !== undefined);
  module.advance(200);
  await module.until('the restart', () => module.status.state === 'running');
  assert.equal(module.listed, ['m a:2 running', 'parked-c1 a:1 exited']);
});

test('are stopped and started', async () => {
  await using module = await updated();
  assert.is(await module.operate('stop'), 'no failure');
  assert.equal(module.listed, ['m a:2 exited', 'parked-c1 a:1 exited']);
  assert.is(await module.operate('start'), 'no failure');
  assert.equal(module.listed, ['m a:2 running', 'parked-c1 a:1 exited']);
});

test('are created again when their container is removed', async () => {
  await using module = await updated();
  module.containers = module.containers.filter(({ id }) => id !== 'c2');
  await module.until('another container', () => module.status.state === 'running');
  assert.equal(module.listed, ['m a:2 running', 'parked-c1 a:1 exited']);
});

test('are cleaned up later, at growing intervals, and report nothing then', async () => {
  await using module = await updated();
  const tries = () => module.trace.filter((call) => call === 'remove c1').length;
  await module.until('nothing', () => true);
  const before = tries();
  module.advance(9_999);
  await module.until('nothing', () => true);
  assert.is(tries(), before, 'not at every event');
  module.advance(1);
  await module.until('another attempt', () => tries() === before + 1);
  module.advance(10_000);
  await module.until('nothing', () => true);
  assert.is(tries(), before + 1);
  module.failures.clear();
  module.advance(10_000);
  await module.until('the end', () => module.saved.update === undefined);
  assert.equal(
    [module.listed, module.kept, module.status.note],
    [['m a:2 running'], undefined, ''],
  );
});

test('are supervised after a roll-back whose tag cannot be removed', async () => {
  await using module = new UpdatedModule();
  module.failures.set('release', busy);
  await module.begin('update', 'a:2');
  await module.until('the trial', () => module.status.progressText === 'trial');
  module.end('c2');
  await module.until('the failure', () => module.status.note.includes('busy'));
  module.end('c1');
  await module.until('the delay', () => module.status.retryAt !== undefined);
  module.advance(200);
  await module.until('the restart', () => module.status.state === 'running');
  assert.equal([module.listed, module.saved.update?.phase], [['m a:1 running'], 'abandon']);
  assert.match(module.status.error, /ended with exit code 1/);
});

test('are deleted with what is left when that can be removed', async () => {
  await using module = await updated();
  assert.is(await module.operate('remove'), 'Unavailable');
  module.failures.clear();
  assert.is(await module.operate('remove'), 'no failure');
  assert.equal([module.listed, module.kept], [[], undefined]);
});

test.run();
