/** Unusable files of the Keys service: reported with owner and mode, preserved, and the rest is served. */
import { chmod, chown, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus } from '../../../src/dbus/bus.ts';
import { type Client, client } from '../../../src/dbus/client/client.ts';
import { isServiceError } from '../../../src/errors.ts';
import { keysInterface, keysService } from '../../../src/interfaces/keys.ts';
import { busctlProperty } from '../../support/clients/busctl.ts';
import { until } from '../../support/deadline.ts';
import { failureOf } from '../../support/failure.ts';
import { Rig } from '../../support/rig/rig.ts';
import { SmallDisk } from '../../support/system/small-disk.ts';

interface Setting {
  rig: Rig;
  bus: Bus;
  keys: Client<typeof keysInterface>;
}

type Damage = (file: string) => Promise<void>;

const restoredByRoot: Damage = async (file) => {
  await chown(file, 0, 0);
  await chmod(file, (await stat(file)).isDirectory() ? 0o700 : 0o600);
};
const newer: Damage = async (file) => {
  const content = await readFile(file, 'latin1');
  await writeFile(file, content.replace('{"version":1,', '{"form":"x","version":7,'), 'latin1');
};
const damages: readonly (readonly [string, Damage, RegExp])[] = [
  [
    'is unreadable for the service',
    (file) => chmod(file, 0),
    /EACCES: it belongs to uid \d+ with mode 0000, this service runs as uid \d+/,
  ],
  [
    'was restored as root',
    restoredByRoot,
    /EACCES: it belongs to uid 0 with mode 0600, this service runs as uid [1-9]/,
  ],
  ['was written by a newer version', newer, /was written by a newer version: its form is 7/],
];

const test = suite<Setting>('state of the Keys service');

test.before(async (context) => {
  context.rig = await Rig.start();
  context.bus = await context.rig.connect();
  context.keys = client(context.bus, keysService, keysInterface);
  for (const [key_id, store] of [
    ['in-file', 'file'],
    ['in-token', 'pkcs11'],
    ['other', 'file'],
  ] as const) {
    const pair = { key_id, algorithms: ['ec-p256'], usages: [], options: { store } };
    await context.keys.CreateKeyPair(pair);
  }
});
test.after(async ({ rig, bus }) => {
  await bus.close();
  await rig[Symbol.asyncDispose]();
});

async function messageOf(call: Promise<unknown>): Promise<string> {
  const error: unknown = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(isServiceError(error, 'Unavailable'), String(error));
  return error.message;
}

function sign({ keys }: Setting, key_id: string): Promise<unknown> {
  return keys.Sign({ key_id, mechanism: 'ecdsa-sha256', data: Buffer.from('m') });
}

/** Everything that would replace or remove the key, and its use. */
function callsOn(setting: Setting, key_id: string): readonly (() => Promise<unknown>)[] {
  const { keys } = setting;
  const create = (if_exists: string) => () =>
    keys.CreateKeyPair({ key_id, algorithms: ['ec-p256'], usages: [], options: { if_exists } });
  return [
    () => sign(setting, key_id),
    () => keys.DeleteKey({ key_id }),
    create('fail'),
    create('keep'),
  ];
}

for (const [folder, key_id, extension] of [
  ['keys', 'in-file', '.key'],
  ['token', 'in-token', '.json'],
] as const) {
  for (const [what, damage, expected] of damages) {
    test(`of ${key_id} that ${what} is reported and preserved, and the rest is served`, async (setting) => {
      const { rig, keys } = setting;
      const file = join(rig.stateDirectory('keys'), folder, `${key_id}${extension}`);
      const { uid } = await stat(file);
      const before = await readFile(file);
      await rig.stop('keys');
      await damage(file);
      const left = await readFile(file);
      assert.is(await busctlProperty(rig, 'keys', 'Health'), 'degraded');
      const lastError = String(await busctlProperty(rig, 'keys', 'LastError'));
      assert.match(lastError, expected);
      assert.match(lastError, file);
      const { objects } = JSON.parse((await keys.Describe({})).json) as {
        objects: Record<string, { State: string }>; // the service promises it
      };
      assert.is(objects[key_id]?.State, 'unavailable');
      for (const call of callsOn(setting, key_id)) {
        const message = await messageOf(call());
        if (!message.startsWith(`key "${key_id}" `)) assert.match(message, expected);
      }
      await sign(setting, 'other');
      await sign(setting, 'device-id');
      assert.equal(await readFile(file), left);
      const status = await rig.iotedgectl(['status']);
      assert.match(status.stdout, /degraded/);
      // the services that it has started call it, and would start it again
      for (const other of ['modules', 'identity', 'certificates'] as const) await rig.stop(other);
      await rig.stop('keys');
      await writeFile(file, before);
      await chown(file, uid, uid);
      await chmod(file, 0o600);
      await sign(setting, key_id);
      assert.is(String(await busctlProperty(rig, 'keys', 'LastError')), '');
      assert.is(await busctlProperty(rig, 'keys', 'Health'), 'ok');
    });
  }
}

test('of a key is read again when its owner is corrected, without a restart', async (setting) => {
  const { rig } = setting;
  const file = join(rig.stateDirectory('keys'), 'keys', 'in-file.key');
  const { uid } = await stat(file);
  await rig.stop('keys');
  await restoredByRoot(file);
  await messageOf(sign(setting, 'in-file'));
  const pid = await rig.processOf('keys');
  await chown(file, uid, uid);
  await sign(setting, 'in-file');
  assert.is(await rig.processOf('keys'), pid);
});

test('is not required for a preloaded file, and one that is unreadable is reported in the same words', async (setting) => {
  const { rig } = setting;
  const path = join(rig.directory, 'preloaded.key');
  await writeFile(path, 'k'.repeat(32), { mode: 0o600 });
  await rig.configure('keys', { 'preloaded_key:closed': `file://${path}` });
  await rig.stop('keys');
  const hmac = { key_id: 'closed', mechanism: 'hmac-sha256', data: Buffer.from('m') };
  const message = await messageOf(setting.keys.Sign(hmac));
  assert.match(
    message,
    /cannot be read: EACCES: it belongs to uid 0 with mode 0600, this service runs as uid [1-9]/,
  );
  await chmod(path, 0o644);
  await setting.keys.Describe({});
  await rig.stop('keys');
  assert.is((await setting.keys.Sign(hmac)).signature.length, 32);
  await rig.configure('keys', {});
  await rig.stop('keys');
});

test('in directories that belong to root is Unavailable, never created again', async (setting) => {
  const { rig, keys } = setting;
  for (const name of ['', 'keys', 'token', 'refused-pins']) {
    const directory = join(rig.stateDirectory('keys'), name);
    const { uid } = await stat(directory);
    await rig.stop('keys');
    await restoredByRoot(directory);
    assert.is(await busctlProperty(rig, 'keys', 'Health'), 'degraded', name);
    assert.match(String(await busctlProperty(rig, 'keys', 'LastError')), /uid 0\b.* uid [1-9]/);
    for (const key_id of ['in-file', 'new']) {
      if (name === 'token' || name === 'refused-pins') continue;
      const pair = { key_id, algorithms: ['ec-p256'], usages: [] };
      const keep = { if_exists: 'keep', store: 'file' };
      assert.is(await failureOf(keys.CreateKeyPair({ ...pair, options: keep })), 'Unavailable');
    }
    if (name === 'token') await sign(setting, 'device-id');
    if (name === 'keys') await sign(setting, 'in-token');
    if (name === 'token') await messageOf(sign(setting, 'in-token'));
    if (name === 'refused-pins') await messageOf(sign(setting, 'device-id'));
    await rig.stop('keys');
    await chown(directory, uid, uid);
    await sign(setting, 'in-file');
    await sign(setting, 'in-token');
    assert.is(await busctlProperty(rig, 'keys', 'Health'), 'ok', name);
  }
});

test('can be deleted on a full disk, and the service recovers when there is space', async (setting) => {
  const { rig, keys } = setting;
  const directory = rig.stateDirectory('keys');
  const pair = { algorithms: ['ec-p256'], usages: [] };
  for (const store of ['file', 'pkcs11']) {
    await keys.CreateKeyPair({ ...pair, key_id: `gone-${store}`, options: { store } });
  }
  await rig.stop('keys');
  const disk = await SmallDisk.mount(rig, directory);
  try {
    await sign(setting, 'in-file');
    await disk.fill();
    const create = (key_id: string) =>
      keys.CreateKeyPair({ ...pair, key_id, options: { store: 'file' } });
    assert.match(await messageOf(create('new')), `${directory}/keys cannot be written: ENOSPC`);
    await until(20_000, 'Health to be degraded', async () => {
      return (await busctlProperty(rig, 'keys', 'Health')) === 'degraded';
    });
    assert.match(String(await busctlProperty(rig, 'keys', 'LastError')), `${directory} is full`);
    await sign(setting, 'in-file');
    await sign(setting, 'in-token');
    for (const store of ['file', 'pkcs11']) await keys.DeleteKey({ key_id: `gone-${store}` });
    const pid = await rig.processOf('keys');
    await disk.empty();
    await create('new');
    await disk.run('mount -o remount,ro "$1"');
    assert.match(await messageOf(create('more')), `${directory}/keys cannot be written: EROFS`);
    await until(20_000, 'Health to be degraded again', async () => {
      return /EROFS/.test(String(await busctlProperty(rig, 'keys', 'LastError')));
    });
    await disk.run('mount -o remount,rw "$1"');
    await until(20_000, 'Health to be ok', async () => {
      return (await busctlProperty(rig, 'keys', 'Health')) === 'ok';
    });
    assert.is(await rig.processOf('keys'), pid);
    await rig.stop('keys');
    for (const store of ['file', 'pkcs11']) {
      assert.is(await failureOf(keys.GetPublicKey({ key_id: `gone-${store}` })), 'NotFound');
    }
  } finally {
    await rig.stop('keys');
    await disk[Symbol.asyncDispose]();
  }
});

test('left over by another user does not block other keys', async (setting) => {
  const { rig } = setting;
  const file = join(rig.stateDirectory('keys'), 'keys', '.x.key.0123456789ab.tmp');
  await rig.stop('keys');
  await writeFile(`${file}.new`, 'half a key', { mode: 0o600 });
  await rename(`${file}.new`, file);
  await sign(setting, 'in-file');
  assert.is(await busctlProperty(rig, 'keys', 'Health'), 'ok');
});

test.run();
