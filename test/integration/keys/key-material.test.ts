/** The places of key material: the token and the files of the keys that were created in files, and nowhere else. */
import { createHmac, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { chown, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus } from '../../../src/dbus/bus.ts';
import { type Client, client } from '../../../src/dbus/client/client.ts';
import { keysInterface, keysService } from '../../../src/interfaces/keys.ts';
import { until } from '../../support/deadline.ts';
import { failureOf } from '../../support/failure.ts';
import { keysBelow, keysOfProcess, type Secret } from '../../support/keys/key-search.ts';
import { Rig } from '../../support/rig/rig.ts';
import { type ServiceName, services } from '../../support/rig/rig-services.ts';
import { rigUsers } from '../../support/rig/rig-users.ts';

interface Setting {
  rig: Rig;
  bus: Bus;
  keys: Client<typeof keysInterface>;
}

const test = suite<Setting>('key material');
const names = Object.keys(services) as ServiceName[];
const users = new Set<number>(names.map((name) => rigUsers[`iotedge-${name}`]));
/** The authority of the rig is not one of the services, and has its key in a file. */
const except = ['authority'];

test.before(async (context) => {
  context.rig = await Rig.start();
  context.bus = await context.rig.connect();
  context.keys = client(context.bus, keysService, keysInterface);
});
test.after(async ({ rig, bus }) => {
  await bus.close();
  await rig[Symbol.asyncDispose]();
});

/** The process of every service, which is started where it does not run. */
async function processes({ rig, bus }: Setting): Promise<readonly number[]> {
  const pids: number[] = [];
  for (const name of names) {
    const { busName: destination, path, manager } = services[name];
    const describe = { member: 'Describe', signature: 'a{sv}', body: [{}] };
    await bus.call({ destination, path, interface: manager.name, ...describe });
    const pid = await rig.processOf(name);
    assert.ok(pid);
    pids.push(pid);
  }
  return pids;
}

/** Everything that contains a key: the files of the rig, those of its users elsewhere, and the processes of the services. */
async function holders(setting: Setting, secrets: readonly Secret[]): Promise<readonly string[]> {
  const { rig } = setting;
  const found = [...(await keysBelow(rig.directory, { secrets, except }))];
  const pids = await processes(setting);
  for (const pid of pids) found.push(...(await keysOfProcess(pid, secrets)));
  for (const place of ['/tmp', '/var/tmp', '/dev/shm', '/var/log', '/run']) {
    const outside = { secrets, owners: users, except: [...except, basename(rig.directory)] };
    const others = await keysBelow(`/proc/${pids[0]}/root${place}`, outside);
    // other rigs have the same users, and files of the same names, but other keys
    found.push(...others.filter((one) => secrets.some(({ name }) => one.includes(`${name} in `))));
  }
  return found;
}

function pkcs8(key: KeyObject): Buffer {
  return key.export({ type: 'pkcs8', format: 'der' });
}

function secretOf(name: string, key: KeyObject): Secret {
  const { d = '' } = key.export({ format: 'jwk' });
  return { name, bytes: Buffer.from(d, 'base64url').subarray(0, 32) };
}

test('is in no file but those of keys in files, in no log, environment or argument, after every kind of use', async (setting) => {
  const { rig, keys } = setting;
  const secrets: Secret[] = [];
  const note = (name: string, bytes: Buffer): Buffer => {
    secrets.push({ name, bytes: Buffer.from(bytes) });
    return bytes;
  };
  const logControl = ['/org/freedesktop/LogControl1', 'org.freedesktop.LogControl1'];
  const level = [...logControl, 'LogLevel', 's', 'debug'];
  assert.is((await rig.busctl(['set-property', keysService.busName, ...level])).code, 0);

  for (const store of ['file', 'pkcs11'] as const) {
    const options = { store };
    for (const [kind, { privateKey }] of [
      ['ec', generateKeyPairSync('ec', { namedCurve: 'prime256v1' })],
      ['rsa', generateKeyPairSync('rsa', { modulusLength: 2048 })],
    ] as const) {
      const key_id = `${kind}-${store}`;
      secrets.push(secretOf(key_id, privateKey));
      const given = { key_id, format: 'pkcs8', material: pkcs8(privateKey), algorithm: '' };
      await keys.ImportKey({ ...given, usages: ['sign'], options });
      const mechanism = kind === 'ec' ? 'ecdsa-sha256' : 'rsa-pss-sha256';
      const digest = { mechanism, data: randomBytes(32), options: { prehashed: true } };
      await keys.Sign({ key_id, ...digest });
    }
    const raw = (key_id: string, algorithm: string, usages: string[]) => ({
      key_id,
      algorithm,
      usages,
      options,
      format: 'raw',
      material: Buffer.from(note(key_id, randomBytes(32))),
    });
    const base = raw(`base-${store}`, 'hmac-sha256', ['sign', 'derive']);
    const derivation = Buffer.from('module');
    note(`derived-${store}`, createHmac('sha256', base.material).update(derivation).digest());
    await keys.ImportKey(base);
    const use = { key_id: base.key_id, mechanism: 'hmac-sha256', data: randomBytes(8) };
    await keys.Sign({ ...use, options: { derivation } });
    await keys.ImportKey(raw(`box-${store}`, 'aes-256', ['encrypt']));
    const input = note(`plaintext-${store}`, randomBytes(32));
    const box = { key_id: `box-${store}`, mechanism: 'aes-256-gcm' };
    const { output } = await keys.Encrypt({ ...box, input: Buffer.from(input) });
    await keys.Decrypt({ ...box, input: output });
    const wrong = { ...box, input: Buffer.concat([output, Buffer.of(0)]) };
    assert.is(await failureOf(keys.Decrypt(wrong)), 'InvalidArgs');
    const old = raw(`replaced-${store}`, 'hmac-sha256', ['sign']);
    await keys.ImportKey(old);
    const next = { ...old, material: Buffer.from(note(`next-${store}`, randomBytes(32))) };
    assert.is(await failureOf(keys.ImportKey(next)), 'AlreadyExists');
    await keys.ImportKey({ ...next, options: { store, if_exists: 'replace' } });
    await keys.ImportKey(raw(`deleted-${store}`, 'hmac-sha256', ['sign']));
    await keys.DeleteKey({ key_id: `deleted-${store}` });
    const refused = { ...raw(`refused-${store}`, 'hmac-sha256', ['sign']), algorithm: 'aes-256' };
    assert.is(await failureOf(keys.ImportKey(refused)), 'InvalidArgs');
  }
  const made = { key_id: 'made', algorithms: ['ed25519'], usages: [] };
  await keys.CreateKeyPair({ ...made, options: { store: 'file', exportable: true } });
  const { material } = await keys.ExportKey({ key_id: 'made', format: 'pkcs8' });
  note('made', Buffer.from(material).subarray(-32));
  await keys.CreateKeyPair({ key_id: 'made-in-token', algorithms: ['ec-p256'], usages: [] });
  assert.is(await rig.reload('keys'), 'reloaded');
  await rig.stop('keys', 'SIGKILL');

  const found = await holders(setting, secrets);
  const state = join(rig.stateDirectory('keys'), 'keys');
  const inFiles = ['base-file', 'box-file', 'ec-file', 'made', 'replaced-file', 'rsa-file'];
  assert.equal(
    found.map((holder) => holder.slice(0, holder.indexOf(': '))).toSorted(),
    inFiles.map((id) => join(state, `${id}.key`)),
  );
  // while they are complete they are found individually, and contain only their own secret
  for (const holder of found) {
    const secret = secrets.filter(({ name }) => holder.includes(`${name} in`));
    assert.is(secret.length, 1, holder);
    const id = secret[0]?.name.replace('next', 'replaced') ?? '';
    assert.match(holder, `/${id}.key: `);
  }
});

test('is found in every place that is searched, so that the other test can fail', async (setting) => {
  const { rig } = setting;
  const bytes = randomBytes(32);
  const secrets: Secret[] = [{ name: `planted-${bytes.toString('hex', 0, 4)}`, bytes }];
  const [{ name }] = secrets as [Secret];
  const user = rigUsers['iotedge-keys'];
  const [pid] = await processes(setting);
  const run = `/proc/${pid}/root/run`;
  const files = [
    ...names.map((service) => join(rig.stateDirectory(service), name)),
    ...['log', 'token', 'config', 'secrets'].map((folder) => join(rig.directory, folder, name)),
    ...['/tmp', '/var/tmp', '/dev/shm', '/var/log', run].map((folder) => join(folder, name)),
  ];
  try {
    for (const file of files) {
      await writeFile(file, `{"key":"${bytes.toString('base64')}"}`, { mode: 0o600 });
      await chown(file, user, user);
    }
    const found = (await holders(setting, secrets)).filter((holder) => holder.includes(name));
    const missing = files.filter(
      (file) => !found.some((holder) => holder.includes(file.replace(`/proc/${pid}/root`, ''))),
    );
    assert.equal(missing, []);
  } finally {
    for (const file of files) await rm(file, { force: true });
  }
  for (const place of ['argument', 'environment'] as const) {
    const text = bytes.toString('base64url');
    const words = place === 'argument' ? [text] : [];
    const environment = place === 'environment' ? { KEY: text } : {};
    const child = rig.spawn('perl', ['-e', 'sleep 60', ...words], { environment });
    try {
      const isFound = async () => (await keysOfProcess(child.pid ?? 0, secrets)).length === 1;
      await until(20_000, `the key in the ${place} to be found`, isFound);
    } finally {
      child.kill('SIGKILL');
    }
  }
});

test.run();
