/** The permitted uses of a key, and the formats of Encrypt and Decrypt. */
import { execFile } from 'node:child_process';
import {
  constants,
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPublicKey,
  generateKeyPairSync,
  publicEncrypt,
  randomBytes,
  verify,
} from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { failureOf } from '../../support/failure.ts';
import { FileKeys } from '../../support/keys/file-keys.ts';

const run = promisify(execFile);
const test = suite<{ keys: FileKeys }>('use of keys');
const gcm = 'aes-256-gcm';
const oaep = 'rsa-oaep-sha256';
const text = Buffer.from('text');

test.before.each(async (context) => {
  context.keys = await FileKeys.start();
});
test.after.each(async ({ keys }) => {
  await keys[Symbol.asyncDispose]();
});

function sha256(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest();
}

function hmac(key: Buffer, data: Buffer): Buffer {
  return createHmac('sha256', key).update(data).digest();
}

test('is refused for every usage that a key does not have', async ({ keys }) => {
  await keys.createPair('signs', 'rsa-2048', ['sign']);
  await keys.createPair('decrypts', 'rsa-2048', ['decrypt']);
  await keys.createPair('ec', 'ec-p256', []);
  await keys.createKey('box', 'aes-256', []);
  await keys.createKey('mac', 'hmac-sha256', []);
  const block = await keys.encrypt('decrypts', oaep, text);
  const signature = await keys.sign('signs', 'rsa-pss-sha256', text);
  const signed = { data: text, signature };
  for (const [what, use] of [
    ['Sign by decrypt', () => keys.sign('decrypts', 'rsa-pss-sha256', text)],
    ['Verify by decrypt', () => keys.verify('decrypts', 'rsa-pss-sha256', signed)],
    ['Encrypt by sign', () => keys.encrypt('signs', oaep, text)],
    ['Decrypt by sign', () => keys.decrypt('signs', oaep, block)],
    ['OAEP with EC', () => keys.encrypt('ec', oaep, text)],
    ['OAEP with AES', () => keys.encrypt('box', oaep, text)],
    ['GCM with HMAC', () => keys.encrypt('mac', gcm, text)],
    ['GCM with RSA', () => keys.encrypt('decrypts', gcm, text)],
    ['HMAC with AES', () => keys.sign('box', 'hmac-sha256', text)],
    ['Verify of an HMAC with AES', () => keys.verify('box', 'hmac-sha256', signed)],
    ['RSA mechanism of an EC key', () => keys.sign('ec', 'rsa-pkcs1-sha256', text)],
    ['PSS of an EC key', () => keys.verify('ec', 'rsa-pss-sha256', signed)],
    ['ECDSA of an RSA key', () => keys.sign('signs', 'ecdsa-sha256', text)],
    ['ECDSA of an RSA key in Verify', () => keys.verify('signs', 'ecdsa-sha256', signed)],
    [
      'a derivation of no base key',
      () => keys.sign('mac', 'hmac-sha256', text, { derivation: text }),
    ],
  ] as const) {
    assert.is(await failureOf(use()), 'NotSupported', what);
  }
});

test('signs the message by default, and the digest on request', async ({ keys }) => {
  await keys.createPair('ec', 'ec-p256', []);
  const key = createPublicKey({ key: await keys.publicKey('ec'), format: 'der', type: 'spki' });
  // as long as a digest
  const data = randomBytes(32);
  const signature = await keys.sign('ec', 'ecdsa-sha256', data);
  assert.ok(verify('sha256', data, key, signature));
  assert.ok(await keys.verify('ec', 'ecdsa-sha256', { data, signature }));
  const digest = { data: sha256(data), signature };
  assert.ok(await keys.verify('ec', 'ecdsa-sha256', digest, { prehashed: true }));
  assert.not(await keys.verify('ec', 'ecdsa-sha256', digest));
});

test('of an HMAC is verified completely', async ({ keys }) => {
  const bytes = randomBytes(32);
  await keys.import('mac', bytes, 'hmac-sha256', []);
  const right = hmac(bytes, text);
  assert.equal(await keys.sign('mac', 'hmac-sha256', text), right);
  const valid = (signature: Buffer) => keys.verify('mac', 'hmac-sha256', { data: text, signature });
  assert.is(await valid(right), true);
  const wrong = [Buffer.alloc(0), right.subarray(0, 16), right.subarray(1), Buffer.alloc(32)];
  for (const at of [0, 15, 31]) {
    const changed = Buffer.from(right);
    changed[at] = (changed[at] ?? 0) ^ 1;
    wrong.push(changed);
  }
  for (const signature of [...wrong, Buffer.concat([right, Buffer.of(0)])]) {
    assert.is(await valid(signature), false, signature.toString('hex'));
  }
});

test('of a base key is that of HMAC(base, derivation), and nothing else', async ({ keys }) => {
  const base = randomBytes(32);
  await keys.import('base', base, 'hmac-sha256', ['sign', 'derive'], { export_derived: true });
  const [one, other] = [Buffer.from('one'), Buffer.from('other')];
  const mac = (options: object) => keys.sign('base', 'hmac-sha256', text, options);
  const signature = await mac({ derivation: one });
  assert.equal(signature, hmac(hmac(base, one), text));
  assert.equal(await keys.export('base', 'raw', { derivation: one }), hmac(base, one));
  const verified = (derivation: Buffer) =>
    keys.verify('base', 'hmac-sha256', { data: text, signature }, { derivation });
  assert.is(await verified(one), true);
  assert.is(await verified(other), false);

  await keys.import('box', base, 'aes-256', ['encrypt', 'derive']);
  const sealed = await keys.encrypt('box', gcm, text, { derivation: one });
  assert.equal(openGcm(hmac(base, one), sealed), text);
  assert.equal(await keys.decrypt('box', gcm, sealed, { derivation: one }), text);
  assert.is(
    await failureOf(keys.decrypt('box', gcm, sealed, { derivation: other })),
    'InvalidArgs',
  );

  const empty = { derivation: Buffer.alloc(0) };
  const given = { data: text, signature };
  for (const options of [{}, empty]) {
    assert.is(await failureOf(mac(options)), 'InvalidArgs');
    assert.is(await failureOf(keys.verify('base', 'hmac-sha256', given, options)), 'InvalidArgs');
    assert.is(await failureOf(keys.export('base', 'raw', options)), 'InvalidArgs');
    assert.is(await failureOf(keys.encrypt('box', gcm, text, options)), 'InvalidArgs');
    assert.is(await failureOf(keys.decrypt('box', gcm, sealed, options)), 'InvalidArgs');
  }
  assert.is(
    await failureOf(keys.sign('box', 'hmac-sha256', text, { derivation: one })),
    'NotSupported',
  );
});

test('by ExportKey is only for keys that were created exportable', async ({ keys }) => {
  const bytes = randomBytes(32);
  await keys.import('closed', bytes, 'hmac-sha256', []);
  await keys.import('open', bytes, 'hmac-sha256', [], { exportable: true });
  await keys.import('base', bytes, 'hmac-sha256', ['sign', 'derive']);
  await keys.import('open-base', bytes, 'hmac-sha256', ['sign', 'derive'], { exportable: true });
  await keys.createPair('pair', '', [], { exportable: true });
  await keys.createPair('closed-pair', '', []);
  await keys.createKey('closed-box', 'aes-256', []);
  assert.equal(await keys.export('open', 'raw'), bytes);
  assert.is((await keys.export('pair', 'pkcs8'))[0], 0x30);
  const derivation = Buffer.from('x');
  for (const [id, format, options, code] of [
    ['closed', 'raw', {}, 'NotSupported'],
    ['closed-pair', 'pkcs8', {}, 'NotSupported'],
    ['closed-box', 'raw', {}, 'NotSupported'],
    ['base', 'raw', { derivation }, 'NotSupported'],
    ['open-base', 'raw', { derivation }, 'NotSupported'],
    ['open', 'pkcs8', {}, 'InvalidArgs'],
    ['pair', 'raw', {}, 'InvalidArgs'],
    ['open', 'pem', {}, 'InvalidArgs'],
  ] as const) {
    assert.is(await failureOf(keys.export(id, format, options)), code, `${id} as ${format}`);
  }
  const derived = { export_derived: true };
  for (const [algorithm, usages] of [
    ['hmac-sha256', ['sign']],
    ['aes-256', ['encrypt', 'derive']],
  ] as const) {
    const made = keys.createKey('derived', algorithm, [...usages], derived);
    assert.is(await failureOf(made), 'InvalidArgs', usages.join());
  }
});

/** The plaintext of AES-256-GCM in the format that Encrypt returns, according to the reference. */
function openGcm(key: Buffer, output: Buffer, aad = Buffer.alloc(0)): Buffer {
  assert.is(output[0], 1);
  const decipher = createDecipheriv('aes-256-gcm', key, output.subarray(1, 13));
  decipher.setAuthTag(output.subarray(-16));
  decipher.setAAD(aad);
  return Buffer.concat([decipher.update(output.subarray(13, -16)), decipher.final()]);
}

test('of AES-GCM has a format byte, a new nonce, the ciphertext and a tag of 16 bytes', async ({
  keys,
}) => {
  const bytes = randomBytes(32);
  await keys.import('box', bytes, 'aes-256', []);
  const aad = Buffer.from('context');
  const nonces = new Set<string>();
  for (let count = 0; count < 300; count++) {
    const output = await keys.encrypt('box', gcm, text, { aad });
    assert.is(output.length, 1 + 12 + text.length + 16);
    assert.equal(openGcm(bytes, output, aad), text);
    nonces.add(output.subarray(1, 13).toString('hex'));
  }
  assert.is(nonces.size, 300);
});

test('of Decrypt has one failure for anything that Encrypt did not return', async ({ keys }) => {
  const bytes = randomBytes(32);
  await keys.import('box', bytes, 'aes-256', []);
  await keys.createKey('other', 'aes-256', []);
  const options = { aad: Buffer.from('context') };
  const sealed = await keys.encrypt('box', gcm, text, options);
  assert.equal(await keys.decrypt('box', gcm, sealed, options), text);
  const changed = Array.from(sealed, (_, at) => {
    const copy = Buffer.from(sealed);
    copy[at] = (copy[at] ?? 0) ^ 1;
    return copy;
  });
  const cipher = createCipheriv('aes-256-gcm', bytes, sealed.subarray(1, 13), {
    authTagLength: 12,
  });
  cipher.setAAD(options.aad);
  const short = Buffer.concat([cipher.update(text), cipher.final(), cipher.getAuthTag()]);
  const inputs = [
    ...changed,
    Buffer.concat([sealed.subarray(0, 13), short]),
    sealed.subarray(0, -1),
    sealed.subarray(1),
    Buffer.concat([sealed, Buffer.of(0)]),
    ...[0, 1, 12, 13, 28].map((length) => sealed.subarray(0, length)),
  ];
  const messages = new Set<string>();
  const note = async (id: string, input: Buffer, given: object) => {
    const attempt = keys.decrypt(id, gcm, input, given);
    assert.is(await failureOf(attempt), 'InvalidArgs', input.toString('hex'));
    messages.add(String(await attempt.catch((error: unknown) => error)).replace(id, 'box'));
  };
  for (const input of inputs) await note('box', input, options);
  for (const given of [{}, { aad: Buffer.from('contexT') }]) await note('box', sealed, given);
  await note('other', sealed, options);
  assert.is(messages.size, 1, [...messages].join());
});

test('of OAEP is what openssl decrypts with SHA-256, up to the largest message', async ({
  keys,
}) => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  await keys.import('rsa', privateKey.export({ type: 'pkcs8', format: 'der' }), '', ['decrypt']);
  const path = (name: string) => join(keys.directory, name);
  await writeFile(path('key'), privateKey.export({ type: 'pkcs8', format: 'pem' }));
  const hashes = ['rsa_padding_mode:oaep', 'rsa_oaep_md:sha256', 'rsa_mgf1_md:sha256'];
  const settings = hashes.flatMap((setting) => ['-pkeyopt', setting]);
  for (const length of [0, 1, 190]) {
    const message = randomBytes(length);
    const output = await keys.encrypt('rsa', oaep, message);
    assert.is(output[0], 1);
    assert.is(output.length, 1 + 256);
    assert.equal(await keys.decrypt('rsa', oaep, output), message);
    await writeFile(path('block'), output.subarray(1));
    const files = ['-inkey', path('key'), '-in', path('block'), '-out', path('plain')];
    await run('openssl', ['pkeyutl', '-decrypt', ...files, ...settings], { timeout: 10_000 });
    assert.equal(await readFile(path('plain')), message);
  }
  assert.is(await failureOf(keys.encrypt('rsa', oaep, randomBytes(191))), 'InvalidArgs');
});

test('of OAEP accepts no additional data, no SHA-1 and no other length', async ({ keys }) => {
  await keys.createPair('rsa', 'rsa-2048', ['decrypt']);
  const output = await keys.encrypt('rsa', oaep, text);
  const aad = { aad: Buffer.alloc(0) };
  assert.is(await failureOf(keys.encrypt('rsa', oaep, text, aad)), 'InvalidArgs');
  assert.is(await failureOf(keys.decrypt('rsa', oaep, output, aad)), 'InvalidArgs');
  const key = createPublicKey({ key: await keys.publicKey('rsa'), format: 'der', type: 'spki' });
  const padding = constants.RSA_PKCS1_OAEP_PADDING;
  const other = (oaepHash: string) => publicEncrypt({ key, padding, oaepHash }, text);
  const pkcs1 = publicEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, text);
  const labelled = publicEncrypt({ key, padding, oaepHash: 'sha256', oaepLabel: text }, text);
  const block = output.subarray(1);
  for (const input of [
    ...[other('sha1'), other('sha512'), pkcs1, labelled].map((one) => [Buffer.of(1), one]),
    [Buffer.of(2), block],
    [block],
    [Buffer.of(1), block.subarray(1)],
    [Buffer.of(1), Buffer.of(0), block],
    [],
  ]) {
    const attempt = keys.decrypt('rsa', oaep, Buffer.concat(input));
    assert.is(await failureOf(attempt), 'InvalidArgs');
  }
  assert.equal(await keys.decrypt('rsa', oaep, output), text);
});

test('is refused when the caller expects another public key', async ({ keys }) => {
  await keys.createPair('rsa', 'rsa-2048', ['sign', 'decrypt']);
  await keys.createKey('mac', 'hmac-sha256', []);
  const digest = sha256(await keys.publicKey('rsa'));
  const data = text;
  const signature = await keys.sign('rsa', 'rsa-pss-sha256', data);
  const output = await keys.encrypt('rsa', oaep, text);
  const uses = (public_key: Buffer) => [
    keys.sign('rsa', 'rsa-pss-sha256', data, { public_key }),
    keys.verify('rsa', 'rsa-pss-sha256', { data, signature }, { public_key }),
    keys.encrypt('rsa', oaep, text, { public_key }),
    keys.decrypt('rsa', oaep, output, { public_key }),
  ];
  for (const [public_key, code] of [
    [digest, 'no failure'],
    [Buffer.alloc(32), 'NotFound'],
    [digest.subarray(1), 'InvalidArgs'],
    [Buffer.alloc(0), 'InvalidArgs'],
  ] as const) {
    const failures = await Promise.all(uses(public_key).map((use) => failureOf(use)));
    assert.equal([...new Set(failures)], [code]);
  }
  const mac = keys.sign('mac', 'hmac-sha256', data, { public_key: digest });
  assert.is(await failureOf(mac), 'NotFound');
});

test('is Unavailable while the file of the key is unreadable', async () => {
  await using keys = await FileKeys.start({ gone: { path: '/nonexistent', usages: undefined } });
  for (const use of [
    () => keys.sign('gone', 'hmac-sha256', text),
    () => keys.encrypt('gone', gcm, text),
    () => keys.decrypt('gone', gcm, randomBytes(40)),
    () => keys.export('gone', 'raw'),
    () => keys.publicKey('gone'),
  ]) {
    assert.is(await failureOf(use()), 'Unavailable');
  }
});

test('of GetRandom returns the requested number of bytes, different each time', async ({
  keys,
}) => {
  const seen = new Set<string>();
  for (const count of [0, 1, 64, 4096]) assert.is((await keys.random(count)).length, count);
  for (let round = 0; round < 100; round++) seen.add((await keys.random(16)).toString('hex'));
  assert.is(seen.size, 100);
});

test.run();
