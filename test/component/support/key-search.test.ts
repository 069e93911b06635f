/** The search for keys in wrong places finds each of them, in every encoding. */
import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseKeyId } from '../../../src/ids.ts';
import { formatKeyFile } from '../../../src/keys/file/key-file.ts';
import { tlv } from '../../../src/keys/material/der.ts';
import { keysBelow, keysIn } from '../../support/keys/key-search.ts';

const test = suite('search for keys');

const ec = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
const p521 = generateKeyPairSync('ec', { namedCurve: 'secp521r1' });
const ed = generateKeyPairSync('ed25519');
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });

function der(key: KeyObject, type: 'pkcs8' | 'sec1' | 'pkcs1' = 'pkcs8'): Buffer {
  return key.export({ type, format: 'der' } as { type: 'pkcs8'; format: 'der' });
}

/** A OneAsymmetricKey of version 2 (RFC 5958 2), which OpenSSL 3.0 does not read. */
function version2(key: KeyObject): Buffer {
  const first = der(key);
  const at = first.indexOf(Buffer.from('020100', 'hex'));
  const half = createPublicKey(key).export({ type: 'spki', format: 'der' }).subarray(-32);
  const version = Buffer.of(2, 1, 1);
  return tlv(0x30, version, first.subarray(at + 3), tlv(0x81, Buffer.of(0), half));
}

function pem(key: KeyObject, type: 'pkcs8' | 'sec1' | 'pkcs1' = 'pkcs8'): string {
  return key.export({ type, format: 'pem' } as { type: 'pkcs8'; format: 'pem' }).toString();
}

const privates: readonly (readonly [string, KeyObject, 'pkcs8' | 'sec1' | 'pkcs1'])[] = [
  ['PKCS#8 of EC', ec.privateKey, 'pkcs8'],
  ['PKCS#8 of P-521', p521.privateKey, 'pkcs8'],
  ['PKCS#8 of Ed25519', ed.privateKey, 'pkcs8'],
  ['PKCS#8 of RSA', rsa.privateKey, 'pkcs8'],
  ['SEC 1', ec.privateKey, 'sec1'],
  ['PKCS#1', rsa.privateKey, 'pkcs1'],
];

/** Texts and bytes around the hidden key, of each length modulo three. */
const surroundings = ['', 'x', '{"key":"', 'a log record: '].map((text) => Buffer.from(text));

function assertFound(content: Buffer | string, what: string, secret?: Buffer): void {
  const secrets = secret === undefined ? [] : [{ name: 'secret', bytes: secret }];
  for (const before of surroundings) {
    const bytes = Buffer.concat([before, Buffer.from(content), Buffer.from('"}\n')]);
    assert.ok(keysIn(bytes, secrets).length > 0, `${what} after ${before.toString()}`);
  }
}

function wrapped(text: string, end: string): string {
  return (text.match(/.{1,64}/g) ?? []).join(end);
}

for (const [what, key, type] of privates) {
  test(`finds ${what} as DER, PEM and in every text encoding of them, without knowing the key`, () => {
    const bytes = der(key, type);
    assertFound(bytes, 'DER');
    assertFound(pem(key, type), 'PEM');
    assertFound(JSON.stringify({ key: pem(key, type) }), 'PEM in JSON');
    for (const form of ['base64', 'base64url', 'hex'] as const) {
      assertFound(bytes.toString(form), form);
      assertFound(wrapped(bytes.toString(form), '\n'), `${form} in lines`);
      assertFound(wrapped(bytes.toString(form), '\\n'), `${form} in the lines of JSON`);
    }
    assertFound(bytes.toString('hex').toUpperCase(), 'HEX');
    assertFound(bytes.toString('hex').replace(/..(?=.)/g, '$&:'), 'hex with colons');
    assertFound(JSON.stringify(bytes), 'Buffer in JSON');
    assertFound(JSON.stringify([...bytes], undefined, 2), 'bytes in JSON');
  });
}

test('finds PKCS#8 of version 2', () => {
  for (const { privateKey } of [ec, ed]) {
    const bytes = version2(privateKey);
    assertFound(bytes, 'DER');
    assertFound(bytes.toString('base64'), 'base64');
  }
});

test('finds a private JWK', () => {
  for (const { privateKey } of [ec, ed, rsa]) {
    const text = JSON.stringify(privateKey.export({ format: 'jwk' }));
    assertFound(text, 'JWK');
    assertFound(JSON.stringify(text), 'JWK in a text of JSON');
  }
});

test('finds the key files of the service', () => {
  const header = {
    id: parseKeyId('x'),
    usages: ['sign'],
    origin: 'generated',
    exportable: false,
    exportDerived: false,
    created: new Date(),
  } as const;
  const pair = formatKeyFile({ ...header, algorithm: 'ec-p256' }, der(ec.privateKey));
  const mac = formatKeyFile({ ...header, algorithm: 'hmac-sha256' }, randomBytes(32));
  for (const file of [pair, mac]) assert.ok(keysIn(file).length > 0);
});

test('finds a known secret, raw and in every text encoding', () => {
  // bytes that a careless search misses: zeros, line ends, and invalid UTF-8
  const plain = randomBytes(32);
  const nasty = Buffer.concat([Buffer.from('0a0d00ff80c3285c22fbefbe', 'hex'), randomBytes(20)]);
  for (const bytes of [plain, nasty, randomBytes(16), randomBytes(66)]) {
    assertFound(bytes, 'raw', bytes);
    for (const form of ['base64', 'base64url', 'hex'] as const) {
      assertFound(bytes.toString(form), form, bytes);
      assertFound(wrapped(bytes.toString(form), '\n'), `${form} in lines`, bytes);
    }
    const inner = Buffer.concat([randomBytes(5), bytes, randomBytes(7)]);
    for (const shift of [0, 1, 2]) {
      assertFound(inner.subarray(shift).toString('base64'), `base64 within, ${shift}`, bytes);
    }
    const hex = bytes.toString('hex');
    assertFound(hex.toUpperCase(), 'HEX', bytes);
    assertFound(hex.replace(/..(?=.)/g, '$&:'), 'hex with colons', bytes);
    assertFound(hex.replace(/../g, '%$&'), 'percent-escapes', bytes);
    assertFound(hex.replace(/../g, '\\x$&'), 'escapes of C', bytes);
    assertFound(JSON.stringify(bytes), 'Buffer in JSON', bytes);
    assertFound(JSON.stringify([...bytes], undefined, 2), 'bytes in JSON', bytes);
    assertFound(Buffer.from(bytes.toString('latin1'), 'utf8'), 'bytes as UTF-8', bytes);
  }
});

test('finds nothing in public data', () => {
  for (const { publicKey } of [ec, p521, ed, rsa]) {
    const spki = publicKey.export({ type: 'spki', format: 'der' });
    const text = publicKey.export({ type: 'spki', format: 'pem' });
    const other = randomBytes(32);
    const secrets = [{ name: 'secret', bytes: other }];
    assert.equal(keysIn(spki, secrets), []);
    assert.equal(keysIn(Buffer.from(text), secrets), []);
    assert.equal(keysIn(Buffer.from(JSON.stringify(publicKey.export({ format: 'jwk' })))), []);
    assert.equal(keysIn(randomBytes(100_000), secrets), []);
  }
});

test('finds it in every file below a directory except the excluded ones', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'iotedge-search-'));
  try {
    await mkdir(join(directory, 'a/b'), { recursive: true });
    await mkdir(join(directory, 'left'));
    const bytes = randomBytes(32);
    await writeFile(join(directory, 'a/b/.hidden.tmp'), bytes);
    await writeFile(join(directory, 'left/out'), bytes);
    const secrets = [{ name: 'secret', bytes }];
    const place = `${directory}/a/b/.hidden.tmp: secret in raw bytes`;
    assert.equal(await keysBelow(directory, { secrets, except: ['left'] }), [place]);
    const own = new Set([process.geteuid?.() ?? -1]);
    assert.is((await keysBelow(directory, { secrets, owners: own })).length, 2);
    assert.is((await keysBelow(directory, { secrets, owners: new Set([1]) })).length, 0);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});

test.run();
