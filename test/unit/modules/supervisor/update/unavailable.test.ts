/** What cannot be reached during an update, or what other clients do meanwhile, is no verdict on it. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../../../src/errors.ts';
import {
  DamagedInstance,
  DiskFull,
  EngineUnreachable,
  PullFailure,
} from '../../../../../src/modules/supervisor/module-type.ts';
import { startMs, trialMs, UpdatedModule } from '../../../../support/engine/updated-module.ts';

const test = suite('updates while services are unavailable');
const away = new ServiceError('Unavailable', 'no Identity');
const overloaded = new EngineUnreachable('Unavailable', 'no response in 60 s');
/** Longer than the longest delay between two attempts. */
const delayMs = 300_000;

/** A module whose new container is observed. */
function tried(): Promise<UpdatedModule> {
  return UpdatedModule.after(async (module) => {
    await module.begin('update', 'a:2');
    await module.until('the trial', () => module.status.progressText === 'trial');
  });
}

const isEnded = (module: UpdatedModule) => () =>
  module.saved.update === undefined && !module.isBusy;

test('are kept when the next process cannot prepare the module for a time', async () => {
  await using module = await tried();
  module.unprepared = away;
  await module.restart();
  await module.until('the failure', () => module.status.error === 'no Identity');
  module.advance(trialMs);
  await module.until('another failure', () => module.status.retryAt !== undefined);
  assert.is(module.saved.update?.phase, 'trial');
  assert.equal(module.listed, ['m a:2 running', 'parked-c1 a:1 exited']);
  module.unprepared = undefined;
  module.advance(300_000);
  // the time in which this process did not see it run proves nothing
  await module.until('the trial', () => module.status.progressText === 'trial');
  assert.is(module.saved.update?.phase, 'trial');
  module.advance(trialMs);
  await module.until('the end', isEnded(module));
  assert.equal(module.listed, ['m a:2 running']);
  assert.equal([module.status.error, module.saved.rejected], ['', undefined]);
});

test('that no operation waits for are kept, too', async () => {
  await using module = await tried();
  await module.supervisor.desired.settle();
  module.unprepared = away;
  await module.restart();
  await module.until('the failure', () => module.status.error === 'no Identity');
  assert.is(module.saved.update?.phase, 'trial');
  module.unprepared = undefined;
  module.advance(300_000);
  // the time in which this process did not see it run proves nothing
  await module.until('the trial', () => module.status.progressText === 'trial');
  assert.is(module.saved.update?.phase, 'trial');
  module.advance(trialMs);
  await module.until('the end', isEnded(module));
  assert.equal(module.listed, ['m a:2 running']);
});

test('are judged by an end that was seen while the module could not be prepared', async () => {
  await using module = await tried();
  module.unprepared = away;
  await module.restart();
  await module.until('the failure', () => module.status.error === 'no Identity');
  module.end('c2');
  await module.until(
    'the end of the container',
    () => module.status.instance?.state.kind === 'exited',
  );
  module.unprepared = undefined;
  module.advance(300_000);
  await module.until('the end', isEnded(module));
  assert.equal(module.listed, ['m a:1 running']);
  assert.match(String(module.saved.rejected?.reason), /ended with exit code 1/);
});

test('fetch later what they cannot prepare at first', async () => {
  await using module = new UpdatedModule();
  module.unprepared = away;
  await module.begin('update', 'a:2');
  await module.until('the failure', () => module.status.error === 'no Identity');
  assert.ok(module.isBusy);
  assert.equal(module.listed, ['m a:1 running']);
  module.unprepared = undefined;
  module.advance(300_000);
  await module.until('the trial', () => module.status.progressText === 'trial');
  module.advance(trialMs);
  await module.until('the end', isEnded(module));
  assert.equal(module.listed, ['m a:2 running']);
});

test('fail for a caller that waits, change nothing, and are accepted again', async () => {
  await using module = new UpdatedModule();
  module.unprepared = away;
  assert.is(await module.operate('update', 'a:2'), 'Unavailable');
  module.unprepared = undefined;
  await module.until('the end', isEnded(module));
  assert.equal([module.listed, module.saved.rejected], [['m a:1 running'], undefined]);
  await module.begin('update', 'a:2');
});

test('are not refused later when the engine was lost while a caller waited', async () => {
  await using module = new UpdatedModule();
  const updated = module.operate('update', 'a:2');
  await module.until('the trial', () => module.status.progressText === 'trial');
  module.reachEngine(false);
  assert.is(await updated, 'Unavailable');
  assert.equal([module.saved.update?.phase, module.saved.rejected], ['rollback', undefined]);
  assert.is(await module.operate('update', 'a:2'), 'Unavailable');
  module.reachEngine(true);
  await module.until('the old container', isEnded(module));
  assert.equal(module.listed, ['m a:1 running']);
  await module.begin('update', 'a:2');
});

test('go on when the engine is back, if no caller waits', async () => {
  await using module = await tried();
  module.reachEngine(false);
  await module.until('the loss', () => module.status.state === 'unknown');
  module.reachEngine(true);
  module.advance(trialMs);
  await module.until('the end', isEnded(module));
  assert.equal(module.listed, ['m a:2 running']);
});

test('go on when another client of the engine stops the new container', async () => {
  await using module = await tried();
  for (let count = 0; count < 3; count++) {
    module.advance(trialMs - 1_000);
    module.end('c2', true);
    await module.until('the delay', () => module.status.retryAt !== undefined);
    module.advance(200);
    await module.until('the trial', () => module.status.progressText === 'trial');
  }
  assert.equal(module.listed, ['m a:2 running', 'parked-c1 a:1 exited']);
  module.advance(trialMs - 1);
  await module.until('nothing', () => true);
  assert.is(module.saved.update?.phase, 'trial');
  module.advance(1);
  await module.until('the end', isEnded(module));
  assert.equal([module.listed, module.saved.rejected], [['m a:2 running'], undefined]);
});

test('that a start fails of are kept when the module cannot be prepared', async () => {
  await using module = await tried();
  assert.is(await module.operate('stop'), 'Unavailable'); // the update is in progress
  await module.supervisor.desired.settle();
  await module.restart();
  assert.is(await module.operate('stop'), 'no failure');
  module.unprepared = away;
  assert.is(await module.operate('start'), 'Unavailable');
  assert.is(module.saved.update?.phase, 'trial');
  module.unprepared = undefined;
  assert.is(await module.operate('start'), 'no failure');
  module.advance(trialMs);
  await module.until('the end', isEnded(module));
  assert.equal(module.listed, ['m a:2 running']);
});

/** A module whose new container cannot be created, and no caller waits. */
function overdue(hasOperation = true): Promise<UpdatedModule> {
  return UpdatedModule.after(async (module) => {
    module.failures.set('create', overloaded);
    await module.begin('update', 'a:2');
    await module.until('the failure', () => module.status.error === overloaded.message);
    if (!hasOperation) await module.supervisor.desired.settle();
  });
}

const isRolledBack = (module: UpdatedModule) => () =>
  isEnded(module)() && module.status.state === 'running';

for (const hasOperation of [true, false]) {
  const what = hasOperation ? 'in an operation that no caller waits for' : 'without an operation';
  test(`are rolled back when the new container cannot be created for too long, ${what}`, async () => {
    await using module = await overdue(hasOperation);
    if (!hasOperation) await module.restart();
    await module.until('the failure', () => module.status.error === overloaded.message);
    module.advance(startMs - 1);
    await module.until('another failure', () => module.status.retryAt !== undefined);
    assert.is(module.saved.update?.phase, 'trial');
    module.advance(delayMs);
    await module.until('the end', isRolledBack(module));
    assert.equal([module.listed, module.kept], [['m a:1 running'], undefined]);
    assert.equal([module.saved.rejected, module.status.error], [undefined, overloaded.message]);
    module.failures.clear();
    await module.begin('update', 'a:2');
    await module.until('the trial', () => module.status.progressText === 'trial');
  });
}

test('are rolled back when the new container cannot be started for too long', async () => {
  await using module = new UpdatedModule();
  module.failures.set('start', overloaded);
  await module.begin('update', 'a:2');
  await module.until('the failure', () => module.status.error === overloaded.message);
  module.advance(startMs);
  module.failures.clear();
  module.unprepared = away;
  await module.until('the roll-back', () => module.saved.update?.phase !== 'trial');
  module.unprepared = undefined;
  module.advance(delayMs);
  await module.until('the end', isRolledBack(module));
  assert.equal(module.listed, ['m a:1 running']);
});

test('wait as long again in one other process, and no longer after that', async () => {
  await using module = await overdue();
  module.advance(startMs - 1);
  await module.restart();
  await module.until('the failure', () => module.status.error === overloaded.message);
  module.advance(startMs - 1);
  await module.until('another failure', () => module.status.retryAt !== undefined);
  assert.is(module.saved.update?.phase, 'trial');
  await module.restart();
  await module.until('the end', isRolledBack(module));
  assert.equal([module.listed, module.saved.rejected], [['m a:1 running'], undefined]);
});

test('have all the time again once the new container has run', async () => {
  await using module = await overdue();
  module.advance(startMs - 1);
  module.failures.clear();
  module.advance(delayMs);
  await module.until('the trial', () => module.status.progressText === 'trial');
  assert.is(module.saved.update?.waits, undefined);
  module.change('c2', { state: { kind: 'created' } });
  module.failures.set('start', overloaded);
  await module.until('the failure', () => module.status.error === overloaded.message);
  assert.equal([module.saved.update?.phase, module.saved.update?.waits], ['trial', 1]);
});

for (const [what, failure, reason] of [
  ['refused by the engine', new ServiceError('InvalidArgs', 'bad mount'), 'bad mount'],
  ['gone and its registry is away', new PullFailure('Unavailable', 'no registry'), undefined],
  ['gone at its registry, too', new PullFailure('NotFound', 'no such image'), 'no such image'],
  ['damaged', new DamagedInstance('Unavailable', 'no layer'), undefined],
  ['too large for the disk', new DiskFull('Unavailable', 'no space'), undefined],
] as const) {
  const outcome = reason === undefined ? 'accepted' : 'refused';
  test(`are ${outcome} again after the new container or its image was ${what}`, async () => {
    await using module = new UpdatedModule();
    module.failures.set('create', failure);
    await module.begin('update', 'a:2');
    await module.until('the end', isRolledBack(module));
    assert.equal([module.listed, module.status.error], [['m a:1 running'], failure.message]);
    assert.is(module.saved.rejected?.reason, reason);
  });
}

test.run();
