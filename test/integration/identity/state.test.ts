/** Damaged files of the Identity service: reported by name, and never replaced silently. */
import { chmod, chown, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isServiceError } from '../../../src/errors.ts';
import { until } from '../../support/deadline.ts';
import { failureOf } from '../../support/failure.ts';
import { type CloudDevice, startCloudDevice } from '../../support/identity/cloud-device.ts';
import { identityStatus } from '../../support/identity/identity-status.ts';
import { deviceName } from '../../support/rig/rig-config.ts';
import { SmallDisk } from '../../support/system/small-disk.ts';

const patient = { timeoutMs: 60_000 };
const module = { module_id: 'mine' };

/** The damage of a file, given its content. */
const damages: readonly (readonly [string, (file: string, text: string) => Promise<void>])[] = [
  ['is empty', (file) => writeFile(file, '')],
  ['is truncated', (file, text) => writeFile(file, text.slice(0, text.length / 2))],
  ['is other JSON', (file) => writeFile(file, '{"a":[1]}')],
  [
    'contains invalid names',
    (file, text) => writeFile(file, text.replace(deviceName, 'a\\u0000b')),
  ],
];

/** A file that is unusable here and may be intact: no message suggests to replace it. */
const unreadable: typeof damages = [
  ['is unreadable for the service', (file) => chmod(file, 0)],
  [
    'belongs to root',
    async (file) => {
      await chown(file, 0, 0);
      await chmod(file, 0o600);
    },
  ],
];

const test = suite<CloudDevice>('a damaged file of the Identity service');

test.before(async (context) => {
  Object.assign(context, await startCloudDevice());
  await context.identity.Provision({}, patient);
  await context.identity.CreateModuleIdentity(module);
});
test.after(async (context) => context[Symbol.asyncDispose]());

for (const [what, damage] of [...damages, ...unreadable]) {
  const isDamaged = damages.some(([name]) => name === what);

  test(`of the device that ${what} does not affect the rest`, async ({
    rig,
    bus,
    cloud,
    identity,
  }) => {
    const file = join(rig.stateDirectory('identity'), 'device.json');
    await rig.stop('identity');
    await damage(file, await readFile(file, 'utf8'));
    const left = await readFile(file);
    const sentBefore = cloud.requests.length;
    const { state, health, lastError } = await identityStatus(bus);
    assert.equal([state, health], ['failed', 'degraded']);
    assert.match(lastError, file);
    const error: unknown = await identity.Provision({}, patient).catch((reason: unknown) => reason);
    assert.ok(isServiceError(error, 'Unavailable'));
    assert.is(error.message.includes('Reprovision replaces it'), isDamaged);
    const found = (await stat(file)).uid;
    if (!isDamaged) assert.match(error.message, `belongs to uid ${found} with mode`);
    assert.is(await failureOf(identity.GetDeviceIdentity({})), 'Unavailable');
    assert.is((await identity.GetModuleIdentity(module)).identity.device_id, deviceName);
    await identity.CreateSasToken({ ...module, audience: '', lifetime_s: 60 });
    await rig.stop('identity');
    await identityStatus(bus);
    assert.equal(await readFile(file), left);
    assert.is(cloud.requests.length, sentBefore);
    await identity.Reprovision({}, patient);
    assert.is((await identityStatus(bus)).lastError, '');
    await rig.stop('identity');
    assert.is((await identity.GetDeviceIdentity({})).identity.device_id, deviceName);
  });

  test(`of a module that ${what} does not affect the rest`, async ({ rig, bus, identity }) => {
    const file = join(rig.stateDirectory('identity'), 'modules', 'mine.json');
    await rig.stop('identity');
    await damage(file, await readFile(file, 'utf8'));
    const left = await readFile(file);
    const { state, health, lastError } = await identityStatus(bus);
    assert.equal([state, health], ['provisioned', 'degraded']);
    assert.match(lastError, file);
    assert.match((await identity.Describe({})).json, '"damaged":{"mine":');
    for (const call of [
      () => identity.GetModuleIdentity(module),
      () => identity.CreateModuleIdentity(module),
      () => identity.UpdateModuleIdentity(module),
      () => identity.CreateSasToken({ ...module, audience: '', lifetime_s: 60 }),
    ]) {
      assert.is(await failureOf(call()), 'Unavailable');
    }
    assert.is((await identity.GetDeviceIdentity({})).identity.device_id, deviceName);
    assert.equal(await readFile(file), left);
    await identity.DeleteModuleIdentity(module);
    await identity.CreateModuleIdentity(module);
    assert.is((await identityStatus(bus)).lastError, '');
  });
}

for (const name of ['device.json', 'modules/mine.json']) {
  test(`of a newer version is preserved: ${name}`, async ({ rig, bus, identity }) => {
    const file = join(rig.stateDirectory('identity'), name);
    await rig.stop('identity');
    const before = await readFile(file, 'utf8');
    assert.match(before, /^\{"version":1,/);
    const newer = before.replace('"version":1', '"more":{},"version":2');
    await writeFile(file, newer);
    assert.match((await identityStatus(bus)).lastError, `${file} was written by a newer version`);
    const calls =
      name === 'device.json'
        ? [() => identity.Provision({}, patient), () => identity.Reprovision({}, patient)]
        : [
            () => identity.CreateModuleIdentity(module),
            () => identity.DeleteModuleIdentity(module, patient),
          ];
    for (const call of calls) assert.is(await failureOf(call()), 'Unavailable');
    assert.is(await readFile(file, 'utf8'), newer);
    await rig.stop('identity');
    await writeFile(file, before);
    await identity.GetModuleIdentity(module);
    assert.is((await identityStatus(bus)).health, 'ok');
  });
}

test('whose directory belongs to root does not affect the rest', async ({ rig, bus, identity }) => {
  const directory = join(rig.stateDirectory('identity'), 'modules');
  const { uid } = await stat(directory);
  await rig.stop('identity');
  await chown(directory, 0, 0);
  const { state, health, lastError } = await identityStatus(bus);
  assert.equal([state, health], ['provisioned', 'degraded']);
  assert.match(lastError, directory);
  for (const module_id of ['mine', 'absent']) {
    assert.is(await failureOf(identity.GetModuleIdentity({ module_id })), 'Unavailable');
    assert.is(await failureOf(identity.CreateModuleIdentity({ module_id })), 'Unavailable');
    assert.is(await failureOf(identity.DeleteModuleIdentity({ module_id })), 'Unavailable');
  }
  assert.is(await failureOf(identity.ListModuleIdentities({})), 'Unavailable');
  assert.is((await identity.GetDeviceIdentity({})).identity.device_id, deviceName);
  await rig.stop('identity');
  await chown(directory, uid, uid);
  await identity.GetModuleIdentity(module);
  assert.is((await identityStatus(bus)).health, 'ok');
});

test('can be deleted on a full disk, which Health reports', async ({ rig, bus, identity }) => {
  const directory = rig.stateDirectory('identity');
  const other = { module_id: 'other' };
  await rig.stop('identity');
  const disk = await SmallDisk.mount(rig, directory);
  const health = (wanted: string) =>
    until(
      20_000,
      `Health to be ${wanted}`,
      async () => (await identityStatus(bus)).health === wanted,
    );
  try {
    await identity.GetModuleIdentity(module);
    await disk.fill();
    assert.is(await failureOf(identity.CreateModuleIdentity(other)), 'Unavailable');
    await identity.CreateSasToken({ ...module, audience: '', lifetime_s: 60 });
    await health('degraded');
    assert.match((await identityStatus(bus)).lastError, directory);
    await identity.DeleteModuleIdentity(module);
    await disk.empty();
    await identity.CreateModuleIdentity(other);
    await identity.DeleteModuleIdentity(other);
    await health('ok');
  } finally {
    await rig.stop('identity');
    await disk[Symbol.asyncDispose]();
  }
  // as if it were restored: the hub no longer has it
  await identity.DeleteModuleIdentity(module);
  await identity.CreateModuleIdentity(module);
});

test('that is about another module is damaged too', async ({ rig, bus, identity }) => {
  const folder = join(rig.stateDirectory('identity'), 'modules');
  await rig.stop('identity');
  const file = join(folder, 'other.json');
  await writeFile(file, await readFile(join(folder, 'mine.json')), { mode: 0o644 });
  assert.match((await identityStatus(bus)).lastError, 'it is about another module');
  await identity.GetModuleIdentity(module);
  assert.is(await failureOf(identity.GetModuleIdentity({ module_id: 'other' })), 'Unavailable');
  await rm(file);
  await rig.stop('identity');
  assert.is((await identityStatus(bus)).health, 'ok');
});

for (const [what, content, owner] of [
  ['of another user', '{}', 0],
  ['of a newer version', '{"version":99}', undefined],
] as const) {
  test(`a refusal ${what} does not prevent provisioning`, async ({ rig, bus, identity }) => {
    await rig.stop('identity');
    const directory = rig.stateDirectory('identity');
    const file = join(directory, 'refusal.json');
    const { uid, gid } = await stat(directory);
    await writeFile(file, content, { mode: 0o600 });
    await chown(file, owner ?? uid, gid);
    await identity.Reprovision({}, patient);
    const { state, health } = await identityStatus(bus);
    assert.equal([state, health], ['provisioned', 'ok']);
    await rm(file, { force: true });
  });
}

test('an unreadable pending operation is reported, until the next operation of its id has replaced it', async ({
  rig,
  bus,
  identity,
}) => {
  await rig.stop('identity');
  const directory = join(rig.stateDirectory('identity'), 'operations');
  const { uid, gid } = await stat(directory);
  const file = join(directory, 'other.json');
  await writeFile(file, '');
  await chown(file, uid, gid);
  const { health, lastError } = await identityStatus(bus);
  assert.is(health, 'degraded');
  assert.match(lastError, `${file} is damaged: it is empty`);
  assert.is(await readFile(file, 'utf8'), '');
  await identity.CreateModuleIdentity({ module_id: 'other' });
  assert.equal((await identityStatus(bus)).lastError, '');
  await rig.stop('identity');
  await chown(directory, 0, 0);
  await chmod(directory, 0o700);
  const closed = await identityStatus(bus);
  assert.is(closed.health, 'degraded');
  assert.match(closed.lastError, `${directory} belongs to another user, uid 0`);
  assert.is(await failureOf(identity.CreateModuleIdentity({ module_id: 'third' })), 'Unavailable');
  await rig.stop('identity');
  await chown(directory, uid, gid);
  await identity.CreateModuleIdentity({ module_id: 'third' });
  assert.is((await identityStatus(bus)).health, 'ok');
});

test.run();
