/** What updates have left while the engine does not respond to its removal: the module is supervised beside it. */
import { setImmediate } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../../../src/errors.ts';
import { findLeftover } from '../../../../../src/modules/supervisor/update/former.ts';
import { Removals } from '../../../../../src/modules/supervisor/update/removals.ts';
import { deadline, soon, until } from '../../../../support/deadline.ts';
import { trialMs, UpdatedModule } from '../../../../support/engine/updated-module.ts';

const test = suite('modules beside removals that do not end');
/** How long an update waits for its clean-up. */
const awaitedMs = 10_000;

/** Updates a module, and waits until its new container has proved good. */
async function update(module: UpdatedModule, image: string): Promise<void> {
  await module.begin('update', image);
  await module.until('the trial', () => module.status.progressText === 'trial');
  module.advance(trialMs);
  await module.until('the verdict', () => module.saved.update?.phase !== 'trial');
}

/** A module whose update is good, and whose parked container is removed when `respond` is called. */
async function removing() {
  let respond: () => void = () => {};
  const response = new Promise<void>((resolve) => {
    respond = resolve;
  });
  const module = await UpdatedModule.after(async (one) => {
    for (const id of ['c1', 'c2', 'c3']) one.hanging.set(`remove ${id}`, response);
    await update(one, 'a:2');
    await one.until('the removal', () => one.trace.at(-1) === 'remove c1');
  });
  return { module, respond };
}

const removalsOf = ({ trace }: UpdatedModule) => trace.filter((call) => call.startsWith('remove'));

/** Its container ends, and is started again after the usual delay. */
async function crash(module: UpdatedModule, id: string): Promise<void> {
  module.end(id);
  await module.until('the delay', () => module.status.retryAt !== undefined);
  module.advance(200);
  await module.until('the restart', () => module.status.state === 'running');
}

test('are restarted, and cleaned up when the engine responds', async () => {
  const { module, respond } = await removing();
  await using _ = module;
  await crash(module, 'c2');
  assert.is(module.status.restartReason, 'ended with exit code 1');
  assert.equal(module.listed, ['m a:2 running', 'parked-c1 a:1 exited']);
  assert.equal(removalsOf(module), ['remove c1'], 'one request');
  respond();
  await module.until('the end', () => module.saved.update === undefined);
  assert.equal([module.listed, module.kept], [['m a:2 running'], undefined]);
});

test('are restarted although the engine cannot describe what is left', async () => {
  await using module = new UpdatedModule();
  const busy = new ServiceError('Unavailable', 'busy');
  module.failures.set('remove c1', busy);
  await update(module, 'a:2');
  await module.until('the failure', () => module.status.note.includes('busy'));
  module.failures.set('describe c1', busy);
  await crash(module, 'c2');
  assert.equal(module.listed, ['m a:2 running', 'parked-c1 a:1 exited']);
  module.failures.clear();
  module.advance(10_000);
  await module.until('the end', () => module.saved.update === undefined);
  assert.equal([module.listed, module.status.note], [['m a:2 running'], '']);
});

test('are restarted although the engine does not release what was kept', async () => {
  await using module = new UpdatedModule();
  module.hanging.set('release', new Promise<void>(() => undefined));
  await update(module, 'a:2');
  await module.until('the failure', () => module.status.note.includes('cannot be removed'));
  await module.until('the end of the operation', () => !module.isBusy);
  await crash(module, 'c2');
  module.hanging.clear();
  module.advance(10_000);
  await module.until('the end', () => module.saved.update === undefined);
  assert.equal([module.kept, module.status.note], [undefined, '']);
});

test('are deleted although the engine does not release what was kept', async () => {
  let kept = 0;
  await using module = new UpdatedModule();
  module.onKept = () => kept++;
  module.hanging.set('release', new Promise<void>(() => undefined));
  await update(module, 'a:2');
  await module.until('the end of the operation', () => !module.isBusy);
  assert.is(await deadline(20_000, module.operate('remove'), 'the deletion'), 'no failure');
  assert.equal([module.listed, module.kept, kept], [[], 'a:1', 1]);
});

test('wait a short time only for the description of what is left', async () => {
  const findParked = (_query: unknown, signal: AbortSignal) =>
    new Promise<never>((_, reject) => {
      const abort = (): void => reject(new Error('aborted'));
      if (signal.aborted) abort();
      signal.addEventListener('abort', abort, { once: true });
    });
  const module = { name: 'm', type: { findParked } };
  const found = await deadline(5_000, findLeftover('c1', module, soon(), 1), 'the limit');
  assert.equal([found?.id, found?.state.kind], ['c1', 'dead']);
  const ended = findLeftover('c1', module, AbortSignal.abort('gone'), 1);
  assert.is(await ended.catch((error: unknown) => error), 'gone');
});

test('end their updates after the removal', async () => {
  const { module, respond } = await removing();
  await using _ = module;
  assert.ok(module.isBusy);
  respond();
  await module.until('the end of the operation', () => !module.isBusy);
  assert.equal([module.listed, module.saved.update], [['m a:2 running'], undefined]);
});

test('end their updates in any case after a time', async () => {
  const { module } = await removing();
  await using _ = module;
  module.advance(awaitedMs - 1);
  await module.until('nothing', () => true);
  assert.ok(module.isBusy);
  // no event wakes it
  module.nowMs++;
  await until(5_000, 'the end of the operation', () => !module.isBusy);
  assert.equal([module.saved.update?.phase, module.status.note], ['done', '']);
});

test('end their updates when their new container ends', async () => {
  const { module } = await removing();
  await using _ = module;
  await crash(module, 'c2');
  assert.not(module.isBusy);
  assert.is(module.saved.update?.phase, 'done');
});

test('end updates that fail after the removal, or after a time', async () => {
  for (const isRemoved of [true, false]) {
    let respond: () => void = () => {};
    await using module = await UpdatedModule.after(async (one) => {
      const response = new Promise<void>((resolve) => {
        respond = resolve;
      });
      one.hanging.set('remove c2', response);
      await one.begin('update', 'a:2');
      await one.until('the trial', () => one.status.progressText === 'trial');
      one.end('c2');
      await one.until('the removal', () => one.trace.at(-1) === 'remove c2');
    });
    assert.equal([module.isBusy, module.listed[0]], [true, 'm a:1 running']);
    if (isRemoved) respond();
    else module.advance(awaitedMs);
    await module.until('the end of the operation', () => !module.isBusy);
    assert.is(module.listed.length, isRemoved ? 1 : 2);
  }
});

test('are stopped and started', async () => {
  const { module } = await removing();
  await using _ = module;
  module.advance(awaitedMs);
  await module.until('the end of the operation', () => !module.isBusy);
  assert.is(await module.operate('stop'), 'no failure');
  assert.equal(module.listed, ['m a:2 exited', 'parked-c1 a:1 exited']);
  assert.is(await module.operate('start'), 'no failure');
  assert.equal(module.listed, ['m a:2 running', 'parked-c1 a:1 exited']);
  assert.equal(removalsOf(module), ['remove c1']);
});

test('are updated again, with two requests at most', async () => {
  const { module, respond } = await removing();
  await using _ = module;
  await crash(module, 'c2');
  await update(module, 'a:3');
  await module.until('the removal', () => module.trace.at(-1) === 'remove c2');
  await crash(module, 'c3');
  await update(module, 'a:4');
  await module.until('the end of the operation', () => !module.isBusy);
  await crash(module, 'c4');
  assert.equal(removalsOf(module), ['remove c1', 'remove c2']);
  assert.equal([module.saved.former, module.saved.update?.oldId], [['c1', 'c2'], 'c3']);
  respond();
  await module.until('the end', () => module.saved.former === undefined);
  await module.until('the end of the update', () => module.saved.update === undefined);
  assert.equal([module.listed, module.kept], [['m a:4 running'], undefined]);
});

test('are restarted beside the removal of what an earlier update has left', async () => {
  const { module, respond } = await removing();
  await using _ = module;
  await crash(module, 'c2');
  module.hanging.delete('remove c2');
  await update(module, 'a:3');
  await module.until('the end', () => module.saved.update === undefined);
  assert.equal(module.saved.former, ['c1']);
  await module.restart();
  await module.until('the removal', () => module.trace.at(-1) === 'remove c1');
  await crash(module, 'c3');
  assert.equal(module.listed, ['m a:3 running', 'parked-c1 a:1 exited']);
  respond();
  await module.until('the end', () => module.saved.former === undefined);
  assert.equal(module.listed, ['m a:3 running']);
});

test('abort their removals when the service ends', async () => {
  const { module } = await removing();
  await using _ = module;
  await module.restart();
  assert.ok(module.trace.includes('remove c1 aborted'));
  await module.until('another request', () => removalsOf(module).at(-1) === 'remove c1');
});

test('remove no container that has the name of the module again', async () => {
  const removed: string[] = [];
  const found = new Set(['c1']);
  let ends = 0;
  const type = {
    findParked: ({ id }: { readonly id: string }) =>
      Promise.resolve(found.has(id) ? ({ id } as never) : undefined), // only its presence matters
    remove: (id: string) => {
      removed.push(id);
      return Promise.resolve();
    },
  };
  const removals = new Removals({ name: 'm', type, onEnd: () => ends++ });
  for (const id of ['c1', 'c2']) removals.begin(id);
  await setImmediate();
  assert.equal([removed, ends], [['c1'], 2]);
  const ended = removals.takeEnded();
  assert.equal(ended.map(({ id }) => id).toSorted(), ['c1', 'c2']);
  assert.not(removals.isFull);
});

test.run();
