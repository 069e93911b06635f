/** The warnings of pulls, such as that a registry was unreachable, and the problem of the module that they are part of. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../../../src/errors.ts';
import { PullFailure } from '../../../../../src/modules/supervisor/module-type.ts';
import { UpdatedModule } from '../../../../support/engine/updated-module.ts';

const test = suite('warnings of pulls');
const used = 'the image "a:2" that the engine has is used';

/** A module of `a:2`, which was pulled with a warning. */
function warned(): Promise<UpdatedModule> {
  return UpdatedModule.after(async (module) => {
    module.pullWarnings.set('a:2', used);
    await module.begin('update', 'a:2');
    await module.until('the trial', () => module.status.progressText === 'trial');
    module.advance(10_000);
    await module.until('the end', () => module.saved.update === undefined);
  });
}

test('stay through restarts, which pull nothing', async () => {
  await using module = await warned();
  assert.is(module.status.pullWarning, used);
  await module.operate('stop');
  await module.operate('start');
  assert.is(module.status.pullWarning, used);
});

test('stay when the service is restarted, until another image is used', async () => {
  await using module = await warned();
  await module.restart();
  await module.until('nothing', () => true);
  assert.is(module.status.pullWarning, used);
  await module.operate('stop');
  await module.operate('start');
  assert.is(module.status.pullWarning, used);
  await module.begin('update', 'b:1');
  await module.until('the trial', () => module.status.progressText === 'trial');
  assert.is(module.status.pullWarning, '');
});

test('are apart from the failure of an update', async () => {
  await using module = await warned();
  module.pullWarnings.set('b:1', 'never');
  module.failures.set('pull b:1', new PullFailure('NotFound', 'pulling "b:1": not found'));
  assert.is(await module.operate('update', 'b:1'), 'NotFound');
  await module.until('the failure', () => module.saved.update === undefined);
  const { error, note, pullWarning } = module.status;
  assert.equal([error, pullWarning, note], ['pulling "b:1": not found', used, '']);
});

test('end with the next pull that succeeds, and with the image', async () => {
  for (const [image, pulled] of [
    ['a:2', true],
    ['b:1', true],
    ['b:1', false],
  ] as const) {
    await using module = await warned();
    module.pullWarnings.clear();
    if (pulled) module.pullWarnings.set(image, '');
    await module.begin('update', image);
    await module.until('the trial', () => module.status.progressText === 'trial');
    assert.is(module.status.pullWarning, '', `${image} ${pulled}`);
  }
});

test('of an update begin when its image is used, and end when it is rolled back', async () => {
  await using module = await warned();
  module.pullWarnings.set('b:1', 'the other warning');
  let inFetch: string | undefined;
  module.preparing = Promise.resolve().then(() => {
    inFetch = module.status.pullWarning;
  });
  await module.begin('update', 'b:1');
  await module.until('the trial', () => module.status.progressText === 'trial');
  assert.is(inFetch, used);
  assert.is(module.status.pullWarning, 'the other warning');
  const [tried] = module.containers.filter(({ image }) => image === 'b:1');
  module.change(tried?.id ?? '', { health: 'unhealthy' });
  await module.until('the end', () => module.saved.update === undefined);
  assert.is(module.status.pullWarning, used);
});

test('stay while what an update has left cannot be removed, and after that', async () => {
  await using module = new UpdatedModule();
  module.pullWarnings.set('a:2', used);
  module.failures.set('remove c1', new ServiceError('Unavailable', 'busy'));
  await module.begin('update', 'a:2');
  await module.until('the trial', () => module.status.progressText === 'trial');
  module.advance(10_000);
  await module.until('the failure', () => module.status.note.includes('busy'));
  assert.is(module.status.pullWarning, used);
  module.failures.clear();
  module.advance(300_000);
  await module.until('the end', () => module.saved.update === undefined);
  assert.equal([module.status.note, module.status.pullWarning], ['', used]);
});

test.run();
