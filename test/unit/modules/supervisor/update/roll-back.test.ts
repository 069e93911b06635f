/** The order of a roll-back: the module has its old container again before the bad one is removed. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../../../src/errors.ts';
import { accepted } from '../../../../../src/modules/supervisor/update/update.ts';
import { moduleSource } from '../../../../support/engine/module-source.ts';
import { UpdatedModule } from '../../../../support/engine/updated-module.ts';
import { messageIn } from '../../../../support/failure.ts';

const test = suite('roll-backs of updates');
const busy = new ServiceError('Unavailable', 'device or resource busy');
/** All calls of a roll-back, one after the other. */
const calls = ['stop c2', 'park c2', 'unpark c1', 'start', 'remove c2', 'release'];

/** A module whose new container is observed, and runs. */
function tried(): Promise<UpdatedModule> {
  return UpdatedModule.after(async (module) => {
    await module.begin('update', 'a:2');
    await module.until('the trial', () => module.status.progressText === 'trial');
    module.trace.length = 0;
  });
}

/** The health check of the new container fails. */
const fail = (module: UpdatedModule): void => module.change('c2', { health: 'unhealthy' });

const isEnded = (module: UpdatedModule) => () =>
  module.saved.update === undefined && module.status.state === 'running';

test('start the old container before they remove the bad one', async () => {
  await using module = await tried();
  fail(module);
  await module.until('the end', isEnded(module));
  assert.equal(module.trace, calls);
  assert.equal([module.listed, module.kept], [['m a:1 running'], undefined]);
  assert.is(module.status.restartReason, 'its update was rolled back');
});

test('refuse another update until the old container is back, and start a module that was stopped for it', async () => {
  await using module = await tried();
  module.failures.set('park c2', busy);
  fail(module);
  await module.until('the failure', () => module.trace.includes('park c2') && !module.isBusy);
  assert.is(module.saved.update?.phase, 'rollback');
  assert.is(await (await module.begin('stop', '', { resumes: true })).code, 'no failure');
  assert.is(module.saved.goal, 'stopped');
  assert.is(await module.operate('update', 'a:3'), 'Unavailable');
  assert.is(module.saved.goal, 'start');
  await module.until('the delay', () => module.status.retryAt !== undefined);
  module.failures.clear();
  module.advance(300_000);
  await module.until('the end', isEnded(module));
  assert.equal(module.listed, ['m a:1 running']);
  await module.begin('update', 'a:3');
  await module.until('the trial', () => module.status.progressText === 'trial');
});

test('start a module that was stopped for an update to names that are taken', async () => {
  await using module = new UpdatedModule();
  assert.is(await (await module.begin('stop', '', { resumes: true })).code, 'no failure');
  module.refusal = new ServiceError('AlreadyExists', 'the alias is taken');
  assert.is(await module.operate('update', 'a:2'), 'AlreadyExists');
  await module.until('the start', () => module.status.state === 'running');
  assert.equal(module.listed, ['m a:1 running']);
});

for (const [phase, progress] of [
  ['fetch', 'has not ended yet'],
  ['rollback', 'is being rolled back'],
] as const) {
  test(`say of which module the previous update ${progress}, and what to do`, () => {
    const [source, other] = [moduleSource('m', 'a:1'), moduleSource('m', 'a:2')];
    const update = { phase, other, digest: 'a:2', previous: 'started' } as const;
    const now = { source, state: { goal: 'started', update } } as const;
    const text = `Unavailable: the previous update of module "m" ${progress}: try again later`;
    const next = { other, digest: 'a:3' };
    assert.throws(
      () => accepted(now, next),
      (error: unknown) => messageIn(error) === text,
    );
  });
}

for (const call of calls) {
  test(`end as demanded when the service is killed before ${call}`, async () => {
    await using module = await tried();
    module.failures.set(call, busy);
    fail(module);
    await module.until('the call', () => module.trace.includes(call));
    module.failures.clear();
    await module.restart();
    module.advance(300_000);
    await module.until('the end', isEnded(module));
    assert.equal([module.listed, module.kept], [['m a:1 running'], undefined]);
    assert.not(module.trace.includes('remove c1'));
    assert.ok(module.trace.indexOf('start') < module.trace.indexOf('remove c2'));
  });

  test(`end as demanded when the service is killed after ${call}`, async () => {
    await using module = await tried();
    module.failuresAfter.set(call, busy);
    fail(module);
    await module.until('the call', () => module.trace.includes(call));
    module.failuresAfter.clear();
    await module.restart();
    module.advance(300_000);
    await module.until('the end', isEnded(module));
    assert.equal([module.listed, module.kept], [['m a:1 running'], undefined]);
    assert.not(module.trace.includes('remove c1'));
  });
}

test('supervise the module while the bad container cannot be removed, and remove it later', async () => {
  await using module = await tried();
  module.failures.set('remove c2', busy);
  fail(module);
  await module.until('the failure', () => module.status.note.includes(busy.message));
  assert.equal(module.listed, ['m a:1 running', 'parked-c2 a:2 exited']);
  module.end('c1');
  await module.until('the delay', () => module.status.retryAt !== undefined);
  module.advance(200);
  await module.until('the restart', () => module.status.state === 'running');
  module.failures.clear();
  module.advance(300_000);
  await module.until('the end', isEnded(module));
  assert.equal([module.listed, module.status.note], [['m a:1 running'], '']);
});

test('back off when the old container cannot be started, and remove nothing before that', async () => {
  await using module = await tried();
  module.failures.set('start', busy);
  fail(module);
  await module.until('the failure', () => module.status.retryAt !== undefined);
  await module.until('nothing', () => true);
  assert.equal(module.trace, calls.slice(0, 4));
  assert.equal([module.status.error, module.kept], [busy.message, 'a:1']);
  module.failures.clear();
  module.advance(300_000);
  await module.until('the end', isEnded(module));
  assert.equal(module.listed, ['m a:1 running']);
});

for (const [what, hasTag] of [
  ['the image that is kept for it, whatever its tag names since', true],
  ['its tag when that is missing', false],
] as const) {
  test(`create an old container that was removed from ${what}`, async () => {
    await using module = await tried();
    module.moved.set('a:1', 'a:2');
    module.containers = module.containers.filter(({ id }) => id !== 'c1');
    if (!hasTag) module.kept = undefined;
    fail(module);
    await module.until('the end', isEnded(module));
    const image = hasTag ? 'a:1' : 'a:2';
    assert.equal([module.listed, module.kept], [[`m ${image} running`], undefined]);
    const rest = ['stop c2', 'park c2', `create ${image}`, 'start', 'remove c2', 'release'];
    assert.equal(module.trace, rest);
    assert.is(module.status.restartReason, 'its update was rolled back');
    await module.until('nothing', () => true);
    assert.equal(module.trace, rest, 'it is created once');
  });
}

test('create a stopped module again before its image is released', async () => {
  await using module = new UpdatedModule();
  assert.is(await module.operate('stop'), 'no failure');
  await module.begin('update', 'a:2');
  await module.until('the new container', () => module.listed.includes('m a:2 created'));
  await module.until('the end of the operation', () => !module.isBusy);
  module.moved.set('a:1', 'a:2');
  module.containers = module.containers.filter(({ id }) => id !== 'c1');
  module.failures.set('start', busy);
  assert.is(await module.operate('start'), 'Unavailable');
  module.failures.clear();
  module.advance(300_000);
  await module.until('the end', () => module.saved.update === undefined);
  assert.match(module.listed.join(), /^m a:1 (created|running)$/);
  assert.is(module.kept, undefined);
});

test('are remembered by the next process, which refuses the same configuration', async () => {
  await using module = await tried();
  fail(module);
  await module.until('the end', isEnded(module));
  await module.restart();
  module.trace.length = 0;
  assert.is(await module.operate('update', 'a:2'), 'Unavailable');
  assert.equal([module.trace, module.listed], [[], ['m a:1 running']]);
  module.advance(10_000);
  await module.begin('update', 'a:2');
  await module.until('the trial', () => module.status.progressText === 'trial');
});

test.run();
