import { createHash, createHmac, createPublicKey, randomBytes, verify } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus } from '../../../src/dbus/bus.ts';
import { type Client, client } from '../../../src/dbus/client/client.ts';
import { keysInterface, keysService } from '../../../src/interfaces/keys.ts';
import { deadline } from '../../support/deadline.ts';
import { failureOf } from '../../support/failure.ts';
import { keysBelow } from '../../support/keys/key-search.ts';
import { Rig } from '../../support/rig/rig.ts';
import type { RigUser } from '../../support/rig/rig-users.ts';

const test = suite('keys service');
const { busName, path } = keysService;

let rig: Rig;
let bus: Bus;
let keys: Client<typeof keysInterface>;

test.before(async () => {
  rig = await Rig.start();
  bus = await rig.connect();
  keys = client(bus, { busName, path }, keysInterface);
});
test.after(async () => {
  await bus.close();
  await rig[Symbol.asyncDispose]();
});

const outcomeOf = (promise: Promise<unknown>): Promise<string> =>
  failureOf(deadline(20_000, promise, 'the reply'));

interface Description {
  readonly health: string;
  readonly objects: Readonly<Record<string, { readonly Origin: string }>>;
  readonly ignored: readonly { readonly label: string }[];
}

function parseDescription(json: string): Description {
  return JSON.parse(json) as Description; // the service promises it; the tests fail when it is not so
}

async function busctl(user: RigUser, member: string, ...args: readonly string[]): Promise<string> {
  const call = ['call', busName, path, keysInterface.name, member, ...args];
  const { stdout, stderr } = await rig.busctl(call, user);
  return stdout + stderr;
}

/** The words of an array of bytes, as busctl printed it. */
const wordsOf = (printed: string) => printed.trim().split(' ').slice(1);
const bytesOf = (data: Buffer) => [String(data.length), ...[...data].map(String)];
const noOptions = '0';
const digest = bytesOf(Buffer.alloc(32, 7));

/** Every method that is authorized: arguments that succeed, and some that are refused from every caller. */
const calls: readonly {
  readonly member: string;
  readonly good: readonly string[];
  readonly bad: readonly string[];
}[] = [
  {
    member: 'CreateKeyPair',
    good: ['sasasa{sv}', 'b/pair', '1', 'ec-p384', '0', '1', 'store', 's', 'file'],
    bad: ['sasasa{sv}', 'b/pair', '0', '0', '1', 'unknown', 's', 'x'],
  },
  {
    member: 'CreateKey',
    good: ['ssasa{sv}', 'b/secret', 'aes-256', '0', noOptions],
    bad: ['ssasa{sv}', '../secret', 'aes-256', '0', noOptions],
  },
  {
    member: 'ImportKey',
    good: ['ssaysasa{sv}', 'b/mac', 'raw', ...digest, 'hmac-sha256', '0', noOptions],
    bad: ['ssaysasa{sv}', 'b/mac', 'raw', '1', '0', 'hmac-sha256', '0', '1', 'store', 'u', '1'],
  },
  {
    member: 'Sign',
    good: ['ssaya{sv}', 'device-id', 'ecdsa-sha256', ...digest, '1', 'prehashed', 'b', 'true'],
    bad: ['ssay', 'device-id', 'ecdsa-sha256', ...digest],
  },
  {
    member: 'Verify',
    good: ['ssayaya{sv}', 'device-id', 'ecdsa-sha256', ...digest, '0', noOptions],
    bad: ['ssayaya{sv}', 'device-id', 'ecdsa-sha256', ...digest, '0', '1', 'prehashed', 's', 'x'],
  },
  {
    member: 'Encrypt',
    good: ['ssaya{sv}', 'b/secret', 'aes-256-gcm', ...digest, noOptions],
    bad: ['ssaya{sv}', 'b/secret', 'aes-256-gcm', ...digest, '1', 'nonce', 'ay', '1', '0'],
  },
  {
    member: 'DeleteKey',
    good: ['sa{sv}', 'b/mac', noOptions],
    bad: ['sa{sv}', '', noOptions],
  },
];

for (const { member, good, bad } of calls) {
  test(`serves ${member} to an operator, denies it to others and refuses malformed arguments`, async () => {
    assert.match(
      await busctl('alice', member, ...good),
      /Call failed: .*(denied|authorized|allowed)/,
    );
    assert.match(await busctl('operator', member, ...bad), 'Call failed');
    assert.not.match(await busctl('operator', member, ...good), 'failed');
  });
}

test('serves Verify, Decrypt and ExportKey to an operator with the original input, and denies them to others', async () => {
  const message = bytesOf(Buffer.from('message'));
  await busctl('operator', 'CreateKeyPair', 'sasasa{sv}', 'c/pair', '0', '0', noOptions);
  const signature = await busctl(
    'operator',
    'Sign',
    'ssaya{sv}',
    'c/pair',
    'ecdsa-sha256',
    ...message,
    noOptions,
  );
  const verify = [
    'ssayaya{sv}',
    'c/pair',
    'ecdsa-sha256',
    ...message,
    ...wordsOf(signature),
    noOptions,
  ];
  await busctl('operator', 'CreateKey', 'ssasa{sv}', 'c/secret', 'aes-256', '0', noOptions);
  const sealed = await busctl(
    'operator',
    'Encrypt',
    'ssaya{sv}',
    'c/secret',
    'aes-256-gcm',
    ...message,
    noOptions,
  );
  const decrypt = ['ssaya{sv}', 'c/secret', 'aes-256-gcm', ...wordsOf(sealed), noOptions];
  const exportable = ['2', 'store', 's', 'file', 'exportable', 'b', 'true'];
  await busctl(
    'operator',
    'ImportKey',
    'ssaysasa{sv}',
    'c/mac',
    'raw',
    ...digest,
    'hmac-sha256',
    '0',
    ...exportable,
  );
  const exportKey = ['ssa{sv}', 'c/mac', 'raw', noOptions];
  assert.is(await busctl('operator', 'Verify', ...verify), 'b true\n');
  assert.is(await busctl('operator', 'Decrypt', ...decrypt), `ay ${message.join(' ')}\n`);
  assert.is(await busctl('operator', 'ExportKey', ...exportKey), `ay ${digest.join(' ')}\n`);
  for (const [member, args] of [
    ['Verify', verify],
    ['Decrypt', decrypt],
    ['ExportKey', exportKey],
  ] as const) {
    assert.match(
      await busctl('alice', member, ...args),
      /Call failed: .*(denied|authorized|allowed)/,
    );
  }
});

test('serves GetPublicKey, GetRandom and Describe to every user', async () => {
  const { stdout } = await rig.busctl(
    ['call', busName, path, keysInterface.name, 'GetPublicKey', 'sa{sv}', 'device-id', '0'],
    'alice',
  );
  const spki = Buffer.from(stdout.trim().split(' ').slice(2).map(Number));
  const expected = (await rig.token.publicKey('device id')).export({ type: 'spki', format: 'der' });
  assert.equal(spki, expected);
  assert.match(await busctl('alice', 'GetRandom', 'ua{sv}', '16', noOptions), /^ay 16 /);
  assert.match(await busctl('alice', 'GetRandom', 'ua{sv}', '4097', noOptions), 'Call failed');
  const { json } = await keys.Describe({});
  assert.not.match(json, 'pin-value');
  const { objects, ignored, health } = parseDescription(json);
  assert.is(health, 'ok');
  assert.is(objects['device-id']?.Origin, 'preloaded');
  assert.equal(ignored.map(({ label }) => label).toSorted(), ['device ca', 'device id']);
});

test('signs with a key of the token, and openssl verifies the signature', async () => {
  const data = randomBytes(1000);
  const { spki } = await keys.GetPublicKey({ key_id: 'device-id' });
  const key = createPublicKey({ key: spki, format: 'der', type: 'spki' });
  const request = { key_id: 'device-id', mechanism: 'ecdsa-sha256', data };
  const publicKey = createHash('sha256').update(spki).digest();
  const options = { public_key: publicKey };
  const { signature } = await keys.Sign({ ...request, options });
  assert.ok(verify('sha256', data, key, signature));
  assert.is((await keys.Verify({ ...request, signature })).valid, true);
  const wrong = Buffer.concat([signature, Buffer.of(0)]);
  assert.is((await keys.Verify({ ...request, signature: wrong })).valid, false);
  const replaced = keys.Sign({ ...request, options: { public_key: randomBytes(32) } });
  assert.is(await outcomeOf(replaced), 'NotFound');
});

test('reports invalid arguments, and NotFound and NotSupported where they apply', async () => {
  const request = { key_id: 'device-id', mechanism: 'ecdsa-sha256', data: Buffer.alloc(31) };
  const prehashed = { prehashed: true };
  assert.is(await outcomeOf(keys.Sign({ ...request, options: prehashed })), 'InvalidArgs');
  assert.is(await outcomeOf(keys.Sign({ ...request, mechanism: 'ecdsa-sha1' })), 'InvalidArgs');
  assert.is(await outcomeOf(keys.Sign({ ...request, mechanism: 'ed25519' })), 'NotSupported');
  assert.is(await outcomeOf(keys.Sign({ ...request, key_id: 'absent' })), 'NotFound');
  const derived = { derivation: Buffer.from('x') };
  assert.is(await outcomeOf(keys.Sign({ ...request, options: derived })), 'NotSupported');
  assert.is(await outcomeOf(keys.DeleteKey({ key_id: 'device-id' })), 'NotSupported');
  const create = { key_id: 'device-id', algorithms: [], usages: [] };
  const keep = { ...create, options: { if_exists: 'keep' } };
  assert.is(await outcomeOf(keys.CreateKeyPair(create)), 'NotSupported');
  assert.is(await outcomeOf(keys.CreateKeyPair(keep)), 'NotSupported');
  const replace = { ...create, options: { if_exists: 'replace' } };
  assert.is(await outcomeOf(keys.CreateKeyPair(replace)), 'InvalidArgs');
  const exportable = { ...create, key_id: 'out', options: { exportable: true } };
  assert.is(await outcomeOf(keys.CreateKeyPair(exportable)), 'NotSupported');
  assert.is(
    await outcomeOf(keys.ExportKey({ key_id: 'device-id', format: 'pkcs8' })),
    'NotSupported',
  );
});

test('creates, stores and deletes keys, and announces it', async () => {
  const signals: string[] = [];
  await using _news = await bus.subscribe({ sender: busName, path }, ({ member }) => {
    signals.push(member);
  });
  const wanted = { key_id: 'made', algorithms: ['ec-p256'], usages: ['sign'] };
  const { key } = await keys.CreateKeyPair(wanted);
  assert.is(key, '/org/iotedge/Keys1/key/made');
  assert.is(await outcomeOf(keys.CreateKeyPair(wanted)), 'AlreadyExists');
  await keys.CreateKeyPair({ ...wanted, options: { if_exists: 'keep' } });
  const other = { ...wanted, algorithms: ['rsa-2048'], options: { if_exists: 'keep' } };
  assert.is(await outcomeOf(keys.CreateKeyPair(other)), 'AlreadyExists');
  const { stdout } = await rig.busctl(['introspect', busName, key], 'alice');
  assert.match(stdout, /\.Algorithm +property +s +"ec-p256"/);
  await keys.DeleteKey({ key_id: 'made' });
  assert.is(await outcomeOf(keys.GetPublicKey({ key_id: 'made' })), 'NotFound');
  await keys.GetRandom({ count: 1 });
  assert.equal(signals, ['InterfacesAdded', 'InterfacesRemoved']);
});

test('derives from base keys and allows no other use of them', async () => {
  const key = { key_id: 'iotedge/base', algorithm: 'hmac-sha256', usages: ['sign', 'derive'] };
  await keys.CreateKey({ ...key, options: { export_derived: true } });
  const derivation = Buffer.from('module one');
  const use = { key_id: key.key_id, mechanism: 'hmac-sha256', data: Buffer.from('text') };
  const { material } = await keys.ExportKey({
    key_id: key.key_id,
    format: 'raw',
    options: { derivation },
  });
  const { signature } = await keys.Sign({ ...use, options: { derivation } });
  assert.equal(signature, createHmac('sha256', material).update('text').digest());
  const verifying = { ...use, signature, options: { derivation } };
  assert.is((await keys.Verify(verifying)).valid, true);
  assert.is((await keys.Verify({ ...verifying, data: derivation })).valid, false);
  assert.is(await outcomeOf(keys.Sign(use)), 'InvalidArgs');
  const empty = { derivation: Buffer.alloc(0) };
  assert.is(await outcomeOf(keys.Sign({ ...use, options: empty })), 'InvalidArgs');
  assert.is(await outcomeOf(keys.ExportKey({ key_id: key.key_id, format: 'raw' })), 'InvalidArgs');
  const cipher = { key_id: key.key_id, mechanism: 'aes-256-gcm', input: Buffer.alloc(1) };
  assert.is(await outcomeOf(keys.Encrypt({ ...cipher, options: { derivation } })), 'NotSupported');
});

test('encrypts with a new nonce and decrypts only its own ciphertexts', async () => {
  await keys.CreateKey({ key_id: 'box', algorithm: 'aes-256', usages: [] });
  const cipher = { key_id: 'box', mechanism: 'aes-256-gcm', options: { aad: Buffer.from('a') } };
  for (const length of [0, 1, 100_000]) {
    const input = randomBytes(length);
    const { output } = await keys.Encrypt({ ...cipher, input });
    assert.is(output.length, 1 + 12 + length + 16);
    assert.is(output[0], 1);
    assert.not.equal((await keys.Encrypt({ ...cipher, input })).output, output);
    assert.equal((await keys.Decrypt({ ...cipher, input: output })).output, input);
    const noAad = { key_id: 'box', mechanism: 'aes-256-gcm', input: output };
    assert.is(await outcomeOf(keys.Decrypt(noAad)), 'InvalidArgs');
  }
  assert.is(await outcomeOf(keys.Decrypt({ ...cipher, input: Buffer.alloc(5) })), 'InvalidArgs');
});

test('exports keys that were created exportable in a file, and replaces by import', async () => {
  const mac = { key_id: 'exported', format: 'raw', algorithm: 'hmac-sha256', usages: [] };
  const options = { exportable: true, store: 'file' };
  const material = randomBytes(32);
  await keys.ImportKey({ ...mac, material, options });
  assert.equal((await keys.ExportKey({ key_id: 'exported', format: 'raw' })).material, material);
  assert.is(
    await outcomeOf(keys.ExportKey({ key_id: 'exported', format: 'pkcs8' })),
    'InvalidArgs',
  );
  const next = randomBytes(32);
  const replacing = { ...mac, material: next, options: { ...options, if_exists: 'replace' } };
  await keys.ImportKey(replacing);
  assert.equal((await keys.ExportKey({ key_id: 'exported', format: 'raw' })).material, next);
  const short = { ...mac, material: randomBytes(15), options };
  assert.is(await outcomeOf(keys.ImportKey(short)), 'InvalidArgs');
});

test('publishes keys that another process creates in the token within 30 s', async () => {
  const added = new Promise<void>((resolve) => {
    void bus.subscribe({ sender: busName, path, member: 'InterfacesAdded' }, ({ body }) => {
      if (body[0] === '/org/iotedge/Keys1/key/foreign') resolve();
    });
  });
  await keys.GetRandom({ count: 1 });
  await rig.token.createKeyPair('foreign');
  await deadline(30_000, added, 'the key to be announced');
  await keys.Sign({ key_id: 'foreign', mechanism: 'ecdsa-sha256', data: Buffer.alloc(0) });
});

test('preserves its keys over a crash, with none in any file but those that were created in files', async () => {
  const before = (await keys.GetPublicKey({ key_id: 'device-id' })).spki;
  await keys.CreateKeyPair({ key_id: 'lasting', algorithms: [], usages: [] });
  const lasting = (await keys.GetPublicKey({ key_id: 'lasting' })).spki;
  await rig.stop('keys', 'SIGKILL');
  assert.equal((await keys.GetPublicKey({ key_id: 'device-id' })).spki, before);
  assert.equal((await keys.GetPublicKey({ key_id: 'lasting' })).spki, lasting);
  // created in files by the tests before, and nowhere else
  const made = (await readdir(join(rig.stateDirectory('keys'), 'keys'))).toSorted();
  assert.ok(made.length > 0);
  const holders = await keysBelow(rig.directory, { except: ['authority'] });
  assert.equal(
    holders.map((holder) => holder.slice(0, holder.indexOf(': '))),
    made.map((name) => join(rig.stateDirectory('keys'), 'keys', name)),
  );
});

test('replies to every call made while it stops', async () => {
  const results = Array.from({ length: 20 }, async (_, index) => {
    await sleep(index * 20);
    const data = Buffer.alloc(8);
    return outcomeOf(keys.Sign({ key_id: 'device-id', mechanism: 'ecdsa-sha256', data }));
  });
  await sleep(100);
  await rig.stop('keys');
  assert.equal([...new Set(await Promise.all(results))], ['no failure']);
});

test('is degraded and reports the reason when the PIN is wrong', async () => {
  const pin = 'not-the-pin-of-this-token';
  await rig.configure('keys', { pkcs11_base_slot: `pkcs11:slot-id=0?pin-value=${pin}` });
  await rig.stop('keys');
  const request = { key_id: 'device-id', mechanism: 'ecdsa-sha256', data: Buffer.alloc(1) };
  assert.is(await outcomeOf(keys.Sign(request)), 'Unavailable');
  const create = { key_id: 'new', algorithms: [], usages: [], options: { if_exists: 'keep' } };
  assert.is(await outcomeOf(keys.CreateKeyPair(create)), 'Unavailable');
  const { json } = await keys.Describe({});
  assert.match(json, 'CKR_PIN_INCORRECT');
  assert.not.match(json, pin);
  assert.is(parseDescription(json).health, 'degraded');
  assert.not.match(await rig.log('keys'), /pin-value/);
  assert.not.match(await rig.log('keys'), pin);
});

test.run();
