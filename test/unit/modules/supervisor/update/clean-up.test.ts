/** What is left of an update that cannot be removed: the module is supervised beside it. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../../../src/errors.ts';
import { EngineUnreachable } from '../../../../../src/modules/supervisor/module-type.ts';
import { trialMs, UpdatedModule } from '../../../../support/engine/updated-module.ts';

const test = suite('modules whose updates cannot be cleaned up');
const busy = new ServiceError('Unavailable', 'device or resource busy');

/** A module whose parked container cannot be removed, and whose update is good. */
function updated(failure: ServiceError = busy): Promise<UpdatedModule> {
  return UpdatedModule.after(async (module) => {
    module.failures.set('remove c1', failure);
    await module.begin('update', 'a:2');
    await module.until('the trial', () => module.status.progressText === 'trial');
    module.advance(trialMs);
    await module.until('the failure', () => module.status.note.includes(failure.message));
  });
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

/** The ids that are persisted of what earlier updates have left. */
const former = (module: UpdatedModule) => module.saved.former;

test('are updated again, and what is left is removed beside the updates', async () => {
  await using module = await updated();
  await module.until('the end of the operation', () => !module.isBusy);
  module.failures.set('remove c2', busy);
  for (const [image, id] of [
    ['a:3', 'c3'],
    ['a:4', 'c4'],
  ]) {
    await module.begin('update', image);
    await module.until('the trial', () => module.status.progressText === 'trial');
    assert.ok(module.listed.includes(`m ${image} running`), id);
    module.advance(trialMs);
    await module.until('the end of the operation', () => !module.isBusy);
  }
  await module.until('the end', () => module.saved.update === undefined);
  assert.equal(former(module), ['c1', 'c2']);
  assert.equal(module.listed, ['m a:4 running', 'parked-c1 a:1 exited', 'parked-c2 a:2 exited']);
  assert.match(module.status.note, /busy/);
  const tries = () => module.trace.filter((call) => call.startsWith('remove')).length;
  await module.until('nothing', () => true);
  const before = tries();
  for (let round = 0; round < 3; round++) await module.until('nothing', () => true);
  assert.is(tries(), before, 'not at every event');
  await module.restart();
  module.failures.delete('remove c1');
  module.advance(300_000);
  await module.until('the other', () => former(module)?.join() === 'c2');
  module.failures.clear();
  module.advance(300_000);
  await module.until('the end', () => former(module) === undefined);
  assert.equal([module.listed, module.kept], [['m a:4 running'], undefined]);
});

test('return to the last that was good, not to what is left', async () => {
  await using module = await updated();
  await module.until('the end of the operation', () => !module.isBusy);
  await module.begin('update', 'a:3');
  await module.until('the trial', () => module.status.progressText === 'trial');
  module.end('c3');
  await module.until('the roll-back', () => module.saved.update === undefined && !module.isBusy);
  assert.equal(module.listed, ['m a:2 running', 'parked-c1 a:1 exited']);
  assert.equal([former(module), module.kept], [['c1'], undefined]);
  assert.is(await module.operate('stop'), 'no failure');
  assert.equal(former(module), ['c1']);
});

test('never run beside what is left', async () => {
  await using module = await updated();
  await module.until('the end of the operation', () => !module.isBusy);
  await module.begin('update', 'a:3');
  await module.until('the trial', () => module.status.progressText === 'trial');
  for (const id of ['c1', 'c2']) {
    module.change(id, { state: { kind: 'running', startedAt: new Date(module.nowMs) } });
    await module.until('the stop', () => module.trace.at(-1) === `stop ${id}`);
  }
  assert.is(module.saved.update?.phase, 'trial');
});

test('keep a container that has its name again', async () => {
  await using module = await updated();
  await module.until('the end of the operation', () => !module.isBusy);
  await module.begin('update', 'a:1');
  await module.until('the trial', () => module.status.progressText === 'trial');
  module.advance(trialMs);
  await module.until('the end', () => module.saved.update === undefined && !module.isBusy);
  module.containers = module.containers.filter(({ id }) => id !== 'c3');
  module.change('c1', { name: 'm' });
  module.failures.clear();
  await module.until('the delay', () => module.status.retryAt !== undefined);
  module.advance(300_000);
  await module.until('the start', () => former(module) === undefined);
  assert.equal(module.listed, ['m a:1 running']);
});

test('are refused an update when too many containers are left', async () => {
  await using module = await updated();
  for (let count = 1; count < 10; count++) {
    module.failures.set('remove', busy);
    await module.until('the end of the operation', () => !module.isBusy);
    if (count === 9) break;
    await module.begin('update', `a:${count + 2}`);
    await module.until('the trial', () => module.status.progressText === 'trial');
    module.advance(trialMs);
    await module.until('the end', () => module.saved.update?.phase === 'done');
  }
  assert.is(await module.operate('update', 'a:20'), 'Unavailable');
  assert.is(former(module)?.length, 8);
  assert.is(module.status.state, 'running');
});

test('are deleted with what is left when that can be removed', async () => {
  await using module = await updated();
  assert.is(await module.operate('remove'), 'Unavailable');
  module.failures.clear();
  assert.is(await module.operate('remove'), 'no failure');
  assert.equal([module.listed, module.kept], [[], undefined]);
});

test('are deleted with what several updates have left', async () => {
  await using module = await updated();
  module.failures.set('remove c2', busy);
  for (const image of ['a:3', 'a:4']) {
    await module.until('the end of the operation', () => !module.isBusy);
    await module.begin('update', image);
    await module.until('the trial', () => module.status.progressText === 'trial');
    module.advance(trialMs);
  }
  await module.until('the end', () => module.saved.update === undefined && !module.isBusy);
  assert.equal(former(module), ['c1', 'c2']);
  assert.is(await module.operate('remove'), 'Unavailable');
  module.failures.clear();
  assert.is(await module.operate('remove'), 'no failure');
  assert.equal(module.listed, []);
});

test.run();
