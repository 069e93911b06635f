import { execFile } from 'node:child_process';
import {
  constants,
  createHash,
  createHmac,
  createPublicKey,
  generateKeyPairSync,
  publicEncrypt,
  randomBytes,
} from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../src/errors.ts';
import { type KeyId, parseKeyId } from '../../../src/ids.ts';
import type { PairAlgorithm } from '../../../src/keys/algorithm.ts';
import { verifySignature } from '../../../src/keys/crypto/verify.ts';
import { parseMaterial } from '../../../src/keys/material/material.ts';
import { parseSignMechanism, parseSignRequest, signsWith } from '../../../src/keys/mechanism.ts';
import type { Key, KeyAttributes, KeyInfo, KeyStore } from '../../../src/keys/store.ts';
import { soon } from '../deadline.ts';
import { failureOf } from '../failure.ts';

const run = promisify(execFile);

/** The info of a key, undefined when the store does not have it. */
export async function infoIn(store: KeyStore, id: KeyId): Promise<KeyInfo | undefined> {
  return (await store.get(id, soon()))?.info;
}

/** Uses a key of a store; throws NotFound when the store does not have it. */
export async function withKey<T>(
  store: KeyStore,
  id: KeyId,
  use: (key: Key) => Promise<T>,
): Promise<T> {
  const key = await store.get(id, soon());
  if (key === undefined) throw new ServiceError('NotFound', `no key "${id}"`);
  return use(key);
}

/** The attributes of a key that cannot be exported. */
export const forSigning: KeyAttributes = {
  usages: ['sign'],
  exportable: false,
  exportDerived: false,
};

const mechanisms = ['ecdsa', 'rsa-pkcs1', 'rsa-pss'].flatMap((family) =>
  ['sha256', 'sha384', 'sha512'].map((hash) => `${family}-${hash}`),
);
const pairs: readonly PairAlgorithm[] = ['ec-p256', 'ec-p384', 'ec-p521', 'ed25519', 'rsa-2048'];

/** A store that a test can reopen with its keys. */
export interface StoreFixture extends AsyncDisposable {
  open(): Promise<KeyStore>;
}

/** The tests that every key store passes. */
export function keyStoreContract(name: string, create: () => Promise<StoreFixture>): void {
  const test = suite(`KeyStore: ${name}`);
  let fixture: StoreFixture;
  let store: KeyStore;
  let serial = 0;
  const newId = () => parseKeyId(`contract/key-${++serial}:$@x`);

  test.before(async () => {
    fixture = await create();
    store = await fixture.open();
  });
  test.after(async () => {
    await store[Symbol.asyncDispose]();
    await fixture[Symbol.asyncDispose]();
  });

  async function pair(algorithm: PairAlgorithm, attributes = forSigning): Promise<KeyInfo> {
    return store.createPair(newId(), [algorithm], attributes, soon());
  }

  test('throws NotFound for a missing key', async () => {
    const request = parseSignRequest(parseSignMechanism('hmac-sha256'), Buffer.from('x'), false);
    assert.is(
      await failureOf(withKey(store, parseKeyId('absent'), (key) => key.sign(request, soon()))),
      'NotFound',
    );
    assert.is(
      await failureOf(withKey(store, parseKeyId('absent'), (key) => key.delete(soon()))),
      'NotFound',
    );
    assert.is(await infoIn(store, parseKeyId('absent')), undefined);
  });

  for (const algorithm of pairs) {
    test(`creates an ${algorithm} pair whose signatures verify by every mechanism`, async () => {
      const { id, spki } = await pair(algorithm);
      assert.ok(spki);
      for (const text of [...mechanisms, 'ed25519']) {
        const mechanism = parseSignMechanism(text);
        if (!signsWith(algorithm, mechanism)) continue;
        for (const prehashed of 'hash' in mechanism ? [false, true] : [false]) {
          const message = randomBytes(100);
          const digest =
            'hash' in mechanism ? createHash(mechanism.hash).update(message).digest() : message;
          const request = parseSignRequest(mechanism, prehashed ? digest : message, prehashed);
          const signature = await withKey(store, id, (key) => key.sign(request, soon()));
          // signed in the one form, verified in the other
          const other = parseSignRequest(
            mechanism,
            prehashed ? message : digest,
            !prehashed && 'hash' in mechanism,
          );
          assert.ok(verifySignature({ algorithm, spki }, request, signature), text);
          assert.ok(verifySignature({ algorithm, spki }, other, signature), text);
          const wrong = Buffer.from(signature);
          wrong[wrong.length - 3] = (wrong[wrong.length - 3] ?? 0) ^ 4;
          assert.not(verifySignature({ algorithm, spki }, request, wrong));
          assert.not(verifySignature({ algorithm, spki }, other, wrong));
          await assertOpenssl({ spki, text, message, signature });
        }
      }
    });
  }

  test('signs an empty message', async () => {
    const { id, spki } = await pair('ec-p256');
    const empty = parseSignRequest(parseSignMechanism('ecdsa-sha256'), Buffer.alloc(0), false);
    const signature = await withKey(store, id, (key) => key.sign(empty, soon()));
    assert.ok(
      verifySignature({ algorithm: 'ec-p256', spki: spki ?? empty.data }, empty, signature),
    );
  });

  test('creates the first pair of the list that supports the usages', async () => {
    const attributes: KeyAttributes = { ...forSigning, usages: ['sign', 'decrypt'] };
    const made = await store.createPair(newId(), ['ec-p256', 'rsa-2048'], attributes, soon());
    assert.is(made.algorithm, 'rsa-2048');
    assert.equal(made.usages, ['sign', 'decrypt']);
    const refused = store.createPair(newId(), ['ec-p256'], attributes, soon());
    assert.is(await failureOf(refused), 'NotSupported');
  });

  test('decrypts OAEP of any length up to the maximum, and nothing else', async () => {
    const { id, spki } = await pair('rsa-2048', { ...forSigning, usages: ['decrypt'] });
    const key = createPublicKey({ key: spki ?? Buffer.alloc(0), format: 'der', type: 'spki' });
    const padding = constants.RSA_PKCS1_OAEP_PADDING;
    for (const length of [0, 1, 190]) {
      const plain = randomBytes(length);
      const block = publicEncrypt({ key, padding, oaepHash: 'sha256' }, plain);
      assert.equal(await withKey(store, id, (key) => key.decryptOaep(block, soon())), plain);
    }
    const sha1 = publicEncrypt({ key, padding, oaepHash: 'sha1' }, randomBytes(8));
    assert.is(await withKey(store, id, (key) => key.decryptOaep(sha1, soon())), undefined);
    assert.is(
      await withKey(store, id, (key) => key.decryptOaep(Buffer.alloc(256, 0xff), soon())),
      undefined,
    );
    assert.is(
      await withKey(store, id, (key) => key.decryptOaep(Buffer.alloc(256), soon())),
      undefined,
    );
  });

  test('creates and imports symmetric keys for MACs', async () => {
    const attributes: KeyAttributes = { ...forSigning, usages: ['sign', 'derive'] };
    const made = await store.createSymmetric(newId(), 'hmac-sha256', attributes, soon());
    assert.equal(
      [made.kind, made.algorithm, made.origin],
      ['symmetric', 'hmac-sha256', 'generated'],
    );
    assert.equal(made.usages, ['sign', 'derive']);
    for (const length of [16, 32, 128]) {
      const bytes = randomBytes(length);
      const material = parseMaterial('raw', bytes, 'hmac-sha256');
      const { id, origin } = await store.importKey(newId(), material, forSigning, soon());
      assert.is(origin, 'imported');
      const request = parseSignRequest(parseSignMechanism('hmac-sha256'), randomBytes(5000), false);
      const expected = createHmac('sha256', bytes).update(request.data).digest();
      assert.equal(await withKey(store, id, (key) => key.sign(request, soon())), expected);
    }
  });

  test('creates random symmetric keys', async () => {
    const request = parseSignRequest(parseSignMechanism('hmac-sha256'), Buffer.from('x'), false);
    const macs = new Set<string>();
    for (let count = 0; count < 3; count++) {
      const { id } = await store.createSymmetric(newId(), 'hmac-sha256', forSigning, soon());
      macs.add((await withKey(store, id, (key) => key.sign(request, soon()))).toString('hex'));
    }
    assert.is(macs.size, 3);
    assert.not(macs.has(createHmac('sha256', Buffer.alloc(32)).update('x').digest('hex')));
  });

  test('encrypts and decrypts by AES-GCM, and detects every change', async () => {
    const attributes: KeyAttributes = { ...forSigning, usages: ['encrypt'] };
    const { id } = await store.createSymmetric(newId(), 'aes-256', attributes, soon());
    const request = { nonce: randomBytes(12), aad: Buffer.from('context') };
    for (const length of [0, 1, 65_536, 1 << 20]) {
      const plain = randomBytes(length);
      const sealed = await withKey(store, id, (key) => key.encrypt(plain, request, soon()));
      assert.is(sealed.length, length + 16);
      assert.equal(await withKey(store, id, (key) => key.decrypt(sealed, request, soon())), plain);
      const changed = Buffer.from(sealed);
      changed[changed.length - 1] = (changed[changed.length - 1] ?? 0) ^ 1;
      assert.is(
        await withKey(store, id, (key) => key.decrypt(changed, request, soon())),
        undefined,
      );
    }
    const sealed = await withKey(store, id, (key) =>
      key.encrypt(Buffer.from('x'), request, soon()),
    );
    const otherAad = { ...request, aad: Buffer.from('other') };
    assert.is(await withKey(store, id, (key) => key.decrypt(sealed, otherAad, soon())), undefined);
    assert.is(
      await withKey(store, id, (key) => key.decrypt(Buffer.alloc(15), request, soon())),
      undefined,
    );
  });

  test('computes a MAC with a base key of aes-256', async () => {
    const bytes = randomBytes(32);
    const attributes: KeyAttributes = { ...forSigning, usages: ['encrypt', 'derive'] };
    const material = parseMaterial('raw', bytes, 'aes-256');
    const { id, algorithm } = await store.importKey(newId(), material, attributes, soon());
    assert.is(algorithm, 'aes-256');
    const request = parseSignRequest(parseSignMechanism('hmac-sha256'), Buffer.from('m'), false);
    const expected = createHmac('sha256', bytes).update('m').digest();
    assert.equal(await withKey(store, id, (key) => key.sign(request, soon())), expected);
  });

  for (const [algorithm, key] of [
    ['ec-p256', generateKeyPairSync('ec', { namedCurve: 'prime256v1' })],
    ['ec-p384', generateKeyPairSync('ec', { namedCurve: 'secp384r1' })],
    ['ec-p521', generateKeyPairSync('ec', { namedCurve: 'secp521r1' })],
    ['rsa-2048', generateKeyPairSync('rsa', { modulusLength: 2048 })],
  ] as const) {
    test(`imports an ${algorithm} pair`, async () => {
      const der = key.privateKey.export({ type: 'pkcs8', format: 'der' });
      const spki = key.publicKey.export({ type: 'spki', format: 'der' });
      const material = parseMaterial('pkcs8', der, undefined);
      const made = await store.importKey(newId(), material, forSigning, soon());
      assert.equal(made.spki, spki);
      assert.is(made.algorithm, algorithm);
      const text = algorithm.startsWith('ec') ? 'ecdsa-sha256' : 'rsa-pss-sha256';
      const request = parseSignRequest(parseSignMechanism(text), Buffer.from('imported'), false);
      const signature = await withKey(store, made.id, (key) => key.sign(request, soon()));
      assert.ok(verifySignature({ algorithm, spki }, request, signature));
    });
  }

  test('replaces a key atomically by an import', async () => {
    const { id } = await pair('ec-p256');
    const bytes = randomBytes(32);
    const material = parseMaterial('raw', bytes, 'hmac-sha256');
    const replaced = await store.importKey(id, material, forSigning, soon());
    assert.is(replaced.kind, 'symmetric');
    const { keys, ignored } = await store.list(soon());
    assert.is(keys.filter((key) => key.id === id).length, 1);
    assert.equal(ignored, []);
  });

  test('never overwrites an existing key by a creation', async () => {
    const { id, spki } = await pair('ec-p256');
    const again = store.createPair(id, ['ec-p256'], forSigning, soon());
    assert.is(await failureOf(again), 'AlreadyExists');
    const symmetric = store.createSymmetric(id, 'hmac-sha256', forSigning, soon());
    assert.is(await failureOf(symmetric), 'AlreadyExists');
    assert.equal((await infoIn(store, id))?.spki, spki);
  });

  test('deletes permanently', async () => {
    const { id } = await pair('ec-p256');
    await withKey(store, id, (key) => key.delete(soon()));
    assert.is(await infoIn(store, id), undefined);
    assert.is(await failureOf(withKey(store, id, (key) => key.delete(soon()))), 'NotFound');
    const another = await fixture.open();
    assert.is(await infoIn(another, id), undefined);
    await another[Symbol.asyncDispose]();
    const again = await store.createPair(id, ['ec-p256'], forSigning, soon());
    assert.is(again.id, id);
  });

  test('has the same keys after it is reopened', async () => {
    const attributes: KeyAttributes = {
      usages: ['sign', 'derive'],
      exportable: false,
      exportDerived: true,
    };
    await store.createSymmetric(newId(), 'hmac-sha256', attributes, soon());
    const before = (await store.list(soon())).keys;
    await store[Symbol.asyncDispose]();
    store = await fixture.open();
    const after = (await store.list(soon())).keys;
    const byId = (keys: readonly KeyInfo[]) => [...keys].sort((a, b) => a.id.localeCompare(b.id));
    assert.equal(byId(after), byId(before));
    assert.ok(after.length > 3);
  });

  test('serves many callers concurrently', async () => {
    const { id, spki } = await pair('ec-p256');
    const requests = Array.from({ length: 200 }, () =>
      parseSignRequest(parseSignMechanism('ecdsa-sha256'), randomBytes(32), true),
    );
    const signatures = await Promise.all(
      requests.map((one) => withKey(store, id, (key) => key.sign(one, soon()))),
    );
    const key = { algorithm: 'ec-p256', spki: spki ?? Buffer.alloc(0) } as const;
    for (const [index, request] of requests.entries()) {
      assert.ok(verifySignature(key, request, signatures[index] ?? Buffer.alloc(0)));
    }
  });

  test.run();
}

/** Verifies the signature by the openssl command, too. */
async function assertOpenssl(made: {
  readonly spki: Buffer;
  readonly text: string;
  readonly message: Buffer;
  readonly signature: Buffer;
}): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'iotedge-openssl-'));
  const path = (name: string) => join(directory, name);
  try {
    const key = createPublicKey({ key: made.spki, format: 'der', type: 'spki' });
    await writeFile(path('key'), key.export({ type: 'spki', format: 'pem' }));
    await writeFile(path('message'), made.message);
    await writeFile(path('signature'), made.signature);
    const files = ['-sigfile', path('signature'), '-in', path('message'), '-rawin'];
    const verify = ['pkeyutl', '-verify', '-pubin', '-inkey', path('key'), ...files];
    const hash = /sha\d+$/.exec(made.text)?.[0];
    if (hash !== undefined) verify.push('-digest', hash);
    if (made.text.startsWith('rsa-pss')) {
      const options = ['rsa_padding_mode:pss', 'rsa_pss_saltlen:digest', `rsa_mgf1_md:${hash}`];
      verify.push(...options.flatMap((option) => ['-pkeyopt', option]));
    }
    const { stdout } = await run('openssl', verify, { timeout: 10_000 });
    assert.match(stdout, 'Signature Verified Successfully');
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
