import { randomBytes } from 'node:crypto';
import { chmod, writeFile } from 'node:fs/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { client } from '../../../src/dbus/client/client.ts';
import { keysInterface, keysService } from '../../../src/interfaces/keys.ts';
import { deadline } from '../../support/deadline.ts';
import { failureOf } from '../../support/failure.ts';
import { tokenPin } from '../../support/keys/softhsm.ts';
import { Rig } from '../../support/rig/rig.ts';

const test = suite('reload of the keys service');

interface Shown {
  readonly Store: string;
  readonly Origin: string;
  readonly State: string;
}

const sign = (id: string) => ({ key_id: id, mechanism: 'ecdsa-sha256', data: Buffer.from('text') });

test('serves preloaded keys of tokens and files according to the new configuration', async () => {
  await using rig = await Rig.start();
  await using bus = await rig.connect();
  const keys = client(bus, keysService, keysInterface);
  const shown = async (id: string): Promise<Shown | undefined> => {
    const { json } = await keys.Describe({});
    const { objects } = JSON.parse(json) as { objects: Record<string, Shown> };
    return objects[id];
  };
  const file = `${rig.directory}/secrets/mac`;
  await writeFile(file, randomBytes(32));
  await chmod(file, 0o644);
  await keys.Sign(sign('device-id'));
  const same = `pkcs11:slot-id=0;object=device%20id?pin-value=${tokenPin}`;
  await rig.configure('keys', {
    'preloaded_key:second': same,
    'preloaded_key:mac': `file://${file}`,
  });
  assert.is(await rig.reload('keys'), 'reloaded');
  assert.is((await shown('second'))?.Origin, 'preloaded');
  assert.is((await shown('mac'))?.Store, 'file');
  await keys.Sign(sign('second'));
  await keys.Sign({ key_id: 'mac', mechanism: 'hmac-sha256', data: Buffer.from('text') });
  await rig.configure('keys', {});
  assert.is(await rig.reload('keys'), 'reloaded');
  assert.is(await shown('second'), undefined);
  assert.is(await shown('mac'), undefined);
  assert.is(await failureOf(keys.Sign(sign('second'))), 'NotFound');
  await keys.Sign(sign('device-id'));
});

test('creates keys in the store of the new configuration, and keeps the existing ones', async () => {
  await using rig = await Rig.start();
  await using bus = await rig.connect();
  const keys = client(bus, keysService, keysInterface);
  const storeOf = async (id: string): Promise<string | undefined> => {
    const { json } = await keys.Describe({});
    return (JSON.parse(json) as { objects: Record<string, Shown> }).objects[id]?.Store;
  };
  const create = (id: string) =>
    keys.CreateKey({ key_id: id, algorithm: 'hmac-sha256', usages: [] });
  await create('in-token');
  await rig.configure('keys', { symmetric_store: 'file' });
  assert.is(await rig.reload('keys'), 'reloaded');
  await create('in-file');
  assert.is(await storeOf('in-token'), 'pkcs11');
  assert.is(await storeOf('in-file'), 'file');
  await rig.configure('keys', { symmetric_store: 'pkcs11' });
  assert.is(await rig.reload('keys'), 'reloaded');
  const mac = (id: string) =>
    keys.Sign({ key_id: id, mechanism: 'hmac-sha256', data: Buffer.from('text') });
  await mac('in-token');
  await mac('in-file');
});

test('loses no call and no key while it reloads', async () => {
  await using rig = await Rig.start();
  await using bus = await rig.connect();
  const keys = client(bus, keysService, keysInterface);
  await keys.Sign(sign('device-id'));
  let isOver = false;
  const made: string[] = [];
  const signs = async (): Promise<number> => {
    let count = 0;
    for (; !isOver; count++) await keys.Sign(sign('device-id'));
    return count;
  };
  const creates = async (): Promise<void> => {
    for (let at = 0; !isOver; at++) {
      const id = `made-${at}`;
      await keys.CreateKeyPair({ key_id: id, algorithms: ['ec-p256'], usages: [] });
      made.push(id);
    }
  };
  const calls = Promise.all([signs(), signs(), creates()]);
  for (let turn = 0; turn < 6; turn++) {
    const usages = turn % 2 === 0 ? { other: { usages: ['sign'] } } : {};
    const symmetric = turn % 3 === 0 ? 'file' : 'pkcs11';
    await rig.configure('keys', { keys: usages, symmetric_store: symmetric });
    assert.is(await rig.reload('keys'), 'reloaded');
  }
  isOver = true;
  await deadline(30_000, calls, 'the calls');
  assert.ok(made.length > 0);
  for (const id of made) await keys.Sign(sign(id));
});

test('refuses another library and other tokens until a restart, and readable secrets as at the start', async () => {
  await using rig = await Rig.start();
  await using bus = await rig.connect();
  const keys = client(bus, keysService, keysInterface);
  await keys.Sign(sign('device-id'));
  for (const settings of [
    { pkcs11_lib_path: '/usr/lib/other.so' },
    { tokens: { more: { uri: 'pkcs11:token=more' } } },
  ]) {
    await rig.configure('keys', settings);
    assert.is(await rig.reload('keys'), 'refused');
    assert.match(await rig.log('keys'), `restart needed: ${Object.keys(settings).join()}`);
  }
  await rig.configure('keys', {});
  await chmod(`${rig.directory}/config/keys.yaml`, 0o644);
  assert.is(await rig.reload('keys'), 'refused');
  const log = await rig.log('keys');
  assert.match(log, 'everybody can read');
  assert.not.match(log, tokenPin);
  await keys.Sign(sign('device-id'));
  await chmod(`${rig.directory}/config/keys.yaml`, 0o640);
  assert.is(await rig.reload('keys'), 'reloaded');
});

test.run();
