/** Tokens as others fill them: pairs with one CKA_ID, certificates alone, keys that want a login for each use. */
import { execFile } from 'node:child_process';
import { constants, createPublicKey, publicEncrypt } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseKeyId } from '../../../../../src/ids.ts';
import { parseUri } from '../../../../../src/keys/config/pkcs11-uri.ts';
import { verifySignature } from '../../../../../src/keys/crypto/verify.ts';
import { parseSignMechanism, parseSignRequest } from '../../../../../src/keys/mechanism.ts';
import { Pkcs11Library } from '../../../../../src/keys/pkcs11/library/library.ts';
import { PinGuard } from '../../../../../src/keys/pkcs11/pin-guard.ts';
import { openTokenKeyRecords } from '../../../../../src/keys/pkcs11/records.ts';
import { Pkcs11Store } from '../../../../../src/keys/pkcs11/store.ts';
import type { KeyInfo } from '../../../../../src/keys/store.ts';
import { soon } from '../../../../support/deadline.ts';
import { withKey } from '../../../../support/keys/key-store-contract.ts';
import { SoftToken, softhsmPath, userPin } from '../../../../support/keys/soft-token.ts';

const run = promisify(execFile);
const test = suite('the halves of pairs in a token');
const id = parseKeyId('device-id');
const request = parseSignRequest(parseSignMechanism('ecdsa-sha256'), Buffer.from('m'), false);

/** A key pair and a self-signed certificate in files, as openssl makes them. */
interface Made {
  readonly key: string;
  readonly public: string;
  readonly certificate: string;
  readonly spki: Buffer;
}

/** A token, and a store in which `device-id` is what a URI says. */
class Rig implements AsyncDisposable {
  readonly token: SoftToken;
  readonly library = new Pkcs11Library(softhsmPath);
  readonly #stores: Pkcs11Store[] = [];

  constructor(token: SoftToken) {
    this.token = token;
  }

  static async start(): Promise<Rig> {
    return new Rig(await SoftToken.create());
  }

  async open(path: string, pin = userPin): Promise<Pkcs11Store> {
    const { library } = this;
    const address = {
      library,
      selector: { slotId: 0 },
      pin: { kind: 'value', value: pin },
    } as const;
    const selector = parseUri(`pkcs11:slot-id=0;${path}`).objectSelector;
    const store = new Pkcs11Store({
      base: address,
      preloaded: new Map([[id, { token: address, selector }]]),
      usages: new Map(),
      records: await openTokenKeyRecords(join(this.token.directory, 'records')),
      guard: await PinGuard.open(join(this.token.directory, 'refused-pins')),
    });
    this.#stores.push(store);
    return store;
  }

  async make(name: string, curve = 'prime256v1'): Promise<Made> {
    const at = (extension: string) => join(this.token.directory, `${name}.${extension}`);
    const pem = at('pem');
    const openssl = (...args: readonly string[]) => run('openssl', args);
    await openssl('ecparam', '-name', curve, '-genkey', '-noout', '-out', pem);
    await openssl('pkcs8', '-topk8', '-nocrypt', '-in', pem, '-outform', 'DER', '-out', at('key'));
    await openssl('pkey', '-in', pem, '-pubout', '-outform', 'DER', '-out', at('pub'));
    const subject = ['-subj', `/CN=${name}`, '-outform', 'DER', '-out', at('crt')];
    await openssl('req', '-x509', '-new', '-key', pem, ...subject);
    const spki = await readFile(at('pub'));
    return { key: at('key'), public: at('pub'), certificate: at('crt'), spki };
  }

  async write(type: 'privkey' | 'pubkey' | 'cert', file: string, label: string, ckaId: string) {
    const name = ['--label', label, ...(ckaId === '' ? [] : ['--id', ckaId]), '--usage-sign'];
    await this.token.login('--write-object', file, '--type', type, ...name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const store of this.#stores) await store[Symbol.asyncDispose]();
    await this.library[Symbol.asyncDispose]();
    await this.token[Symbol.asyncDispose]();
  }
}

async function infoOf(store: Pkcs11Store): Promise<KeyInfo> {
  const { keys } = await store.list(soon());
  const info = keys.find((key) => key.id === id);
  assert.ok(info);
  return info;
}

/** Signs, and checks that the signature is one of this key and of no other. */
async function assertSigns(store: Pkcs11Store, spki: Buffer): Promise<void> {
  const info = await infoOf(store);
  assert.is(info.reason, undefined);
  assert.equal(info.spki, spki);
  const signature = await withKey(store, id, (key) => key.sign(request, soon()));
  assert.ok(verifySignature({ algorithm: 'ec-p256', spki }, request, signature));
}

test('are a private key and a certificate of its CKA_ID', async () => {
  await using rig = await Rig.start();
  const [own, other] = [await rig.make('own'), await rig.make('other')];
  await rig.write('privkey', own.key, 'AUTH privkey', '03');
  await rig.write('cert', other.certificate, 'another', '03');
  await rig.write('cert', own.certificate, 'AUTH cert', '03');
  const store = await rig.open('id=%03;type=private');
  await assertSigns(store, own.spki);
});

test('are told apart by a signature where several have one CKA_ID', async () => {
  await using rig = await Rig.start();
  const [first, second] = [await rig.make('first'), await rig.make('second')];
  for (const [label, { key }] of [
    ['first', first],
    ['second', second],
  ] as const) {
    await rig.write('privkey', key, label, '01');
  }
  // the labels of the public halves are exchanged, or missing
  await rig.write('pubkey', first.public, 'second', '01');
  await rig.write('pubkey', second.public, 'third', '01');
  await assertSigns(await rig.open('object=first;id=%01'), first.spki);
  await assertSigns(await rig.open('object=second'), second.spki);
  const both = await infoOf(await rig.open('id=%01'));
  assert.is(both.state, 'unavailable');
  assert.match(both.reason ?? '', '2 keys of the token match its URI');
});

test('take the label where several have one CKA_ID, without asking the token for more than is needed', async () => {
  await using rig = await Rig.start();
  const [first, second] = [await rig.make('first'), await rig.make('second')];
  for (const [label, { key, public: half }] of [
    ['first', first],
    ['second', second],
  ] as const) {
    await rig.write('privkey', key, label, '01');
    await rig.write('pubkey', half, label, '01');
  }
  const store = await rig.open('object=second');
  await rig.library.ready();
  const { api } = rig.library;
  const begin = api.C_SignInit.bind(api);
  let signatures = 0;
  api.C_SignInit = (...call) => {
    signatures++;
    begin(...call);
  };
  const info = await infoOf(store);
  assert.equal(info.spki, second.spki);
  assert.is(signatures, 2, 'one for each key');
  await infoOf(store);
  assert.is(signatures, 2, 'what is proven stays so');
});

test('are none when the public half is missing, or of another key, and the reason says which', async () => {
  await using rig = await Rig.start();
  const [own, other] = [await rig.make('own'), await rig.make('other')];
  await rig.write('privkey', own.key, 'key', '05');
  const store = await rig.open('id=%05');
  const missing = await infoOf(store);
  assert.is(missing.state, 'unavailable');
  assert.match(missing.reason ?? '', 'its public half is not in the token');
  await rig.write('pubkey', other.public, 'key', '05');
  const wrong = await infoOf(store);
  assert.is(wrong.state, 'unavailable');
  assert.match(wrong.reason ?? '', 'are of other keys');
  assert.is(wrong.spki, undefined);
  await rig.write('cert', own.certificate, 'x', '05');
  await assertSigns(store, own.spki);
});

test('of a curve that is not offered are not called incomplete', async () => {
  await using rig = await Rig.start();
  const made = await rig.make('own', 'secp256k1');
  await rig.write('privkey', made.key, 'key', '05');
  await rig.write('pubkey', made.public, 'key', '05');
  const { state, reason } = await infoOf(await rig.open('id=%05'));
  assert.equal([state, reason], ['unavailable', 'it is not a kind of key that is offered']);
});

test('have one form: a point that is not compressed, the name of the curve', async () => {
  await using rig = await Rig.start();
  const made = await rig.make('own');
  const compressed = join(rig.token.directory, 'compressed.der');
  const form = ['-ec_conv_form', 'compressed', '-outform', 'DER', '-out', compressed];
  await run('openssl', ['pkey', '-inform', 'DER', '-in', made.key, '-pubout', ...form]);
  assert.ok((await readFile(compressed)).length < made.spki.length);
  await rig.write('privkey', made.key, 'key', '05');
  await rig.write('pubkey', compressed, 'key', '05');
  await assertSigns(await rig.open('id=%05'), made.spki);
});

const alwaysAuth = [
  '--keypairgen',
  '--key-type',
  'EC:prime256v1',
  '--label',
  'sig-9c',
  '--id',
  '9c',
  '--usage-sign',
  '--always-auth',
];

/** The types of all logins from now on, and a PIN that they have instead of the configured one. */
function watchLogins(rig: Rig): { readonly types: number[]; pin: string | undefined } {
  const { api } = rig.library;
  const logIn = api.C_Login.bind(api);
  const watched: { readonly types: number[]; pin: string | undefined } = {
    types: [],
    pin: undefined,
  };
  api.C_Login = (session, type, pin) => {
    watched.types.push(Number(type));
    logIn(session, type, watched.pin ?? pin);
  };
  return watched;
}

test('sign after a login for each signature where the key wants it', async () => {
  await using rig = await Rig.start();
  await rig.token.login(...alwaysAuth);
  const store = await rig.open('id=%9c');
  await rig.library.ready();
  const { types } = watchLogins(rig);
  const info = await infoOf(store);
  assert.is(info.state, 'ok', info.reason ?? '');
  const before = types.length;
  for (let count = 0; count < 3; count++) {
    const signature = await withKey(store, id, (key) => key.sign(request, soon()));
    const spki = info.spki ?? Buffer.alloc(0);
    assert.ok(verifySignature({ algorithm: 'ec-p256', spki }, request, signature));
  }
  assert.equal(types.slice(before), [2, 2, 2]);
  const parallel = Array.from({ length: 12 }, () =>
    withKey(store, id, (key) => key.sign(request, soon())),
  );
  assert.is((await Promise.all(parallel)).length, 12);
});

test('decrypt after a login where the key wants it', async () => {
  await using rig = await Rig.start();
  const rsa = ['--keypairgen', '--key-type', 'rsa:2048', '--label', 'rsa', '--id', '9d'];
  await rig.token.login(...rsa, '--usage-sign', '--usage-decrypt', '--always-auth');
  const store = await rig.open('id=%9d');
  const { spki = Buffer.alloc(0) } = await infoOf(store);
  const key = createPublicKey({ key: spki, format: 'der', type: 'spki' });
  const padding = constants.RSA_PKCS1_OAEP_PADDING;
  const block = publicEncrypt({ key, padding, oaepHash: 'sha256' }, Buffer.from('hidden'));
  assert.equal(
    await withKey(store, id, (key) => key.decryptOaep(block, soon())),
    Buffer.from('hidden'),
  );
});

test('try a PIN that a login for one signature refuses exactly once, and never again', async () => {
  await using rig = await Rig.start();
  await rig.token.login(...alwaysAuth);
  const store = await rig.open('id=%9c');
  await rig.library.ready();
  const watched = watchLogins(rig);
  await infoOf(store);
  const before = watched.types.length;
  watched.pin = 'wrong';
  for (let count = 0; count < 3; count++) {
    const failure: unknown = await withKey(store, id, (key) => key.sign(request, soon())).catch(
      (error: unknown) => error,
    );
    assert.match(String(failure), 'refuses the PIN: CKR_PIN_INCORRECT');
    assert.not.match(String(failure), 'wrong');
  }
  assert.equal(watched.types.slice(before), [2]);
  // another process with the same configuration does not try it either
  const again = await rig.open('id=%9c');
  await withKey(again, id, (key) => key.sign(request, soon())).catch(() => undefined);
  assert.is(watched.types.length, before + 1);
});

test.run();
