/** The encodings of private keys by libraries and tools, in a preloaded file and in an import. */
import { execFile } from 'node:child_process';
import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isServiceError } from '../../../../src/errors.ts';
import { parseKeyId } from '../../../../src/ids.ts';
import { readPreloaded } from '../../../../src/keys/file/preloaded.ts';
import { FileStore } from '../../../../src/keys/file/store.ts';
import { tlv } from '../../../../src/keys/material/der.ts';
import { parseMaterial } from '../../../../src/keys/material/material.ts';
import { parseSignMechanism, parseSignRequest } from '../../../../src/keys/mechanism.ts';
import { soon } from '../../../support/deadline.ts';
import { forSigning, infoIn, withKey } from '../../../support/keys/key-store-contract.ts';

const run = promisify(execFile);
const test = suite<{ dir: string }>('encodings of private keys');
const id = parseKeyId('x');

test.before.each(async (context) => {
  context.dir = await mkdtemp(join(tmpdir(), 'keys-forms-'));
});
test.after.each(({ dir }) => rm(dir, { recursive: true }));

const ec = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
const ed = generateKeyPairSync('ed25519');
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });

function pkcs8(key: KeyObject): Buffer {
  return key.export({ type: 'pkcs8', format: 'der' });
}

function spki(key: KeyObject): Buffer {
  return key.export({ type: 'spki', format: 'der' });
}

/** A OneAsymmetricKey of version 2 (RFC 5958 2), as ring, rcgen and BoringSSL write it. */
function version2(key: Buffer, publicBits: Buffer): Buffer {
  const body = Buffer.concat([Buffer.of(2, 1, 1), key.subarray(key[1] === 0x81 ? 6 : 5)]);
  return tlv(0x30, body, tlv(0x81, Buffer.of(0), publicBits));
}

function pem(label: string, der: Buffer): Buffer {
  const text = (der.toString('base64').match(/.{1,64}/g) ?? []).join('\n');
  return Buffer.from(`-----BEGIN ${label}-----\n${text}\n-----END ${label}-----\n`);
}

const edVersion2 = version2(pkcs8(ed.privateKey), spki(ed.publicKey).subarray(-32));
const ecVersion2 = version2(pkcs8(ec.privateKey), spki(ec.publicKey).subarray(-65));

/** A container of a pair, in each encoding. */
const pairs: readonly (readonly [string, Buffer, KeyObject])[] = [
  ['SEC 1', ec.privateKey.export({ type: 'sec1', format: 'der' }), ec.publicKey],
  ['PKCS#1', rsa.privateKey.export({ type: 'pkcs1', format: 'der' }), rsa.publicKey],
  ['PKCS#8 of Ed25519', pkcs8(ed.privateKey), ed.publicKey],
  ['PKCS#8 of EC', pkcs8(ec.privateKey), ec.publicKey],
  ['PKCS#8 of RSA', pkcs8(rsa.privateKey), rsa.publicKey],
  ['version 2 of Ed25519', edVersion2, ed.publicKey],
  ['version 2 of EC', ecVersion2, ec.publicKey],
];

for (const [form, der, publicKey] of pairs) {
  test(`are read in ${form}`, async ({ dir }) => {
    const path = join(dir, 'key');
    const label = form.startsWith('version 2') ? 'PRIVATE KEY' : undefined;
    for (const content of [der, ...(label === undefined ? [] : [pem(label, der)])]) {
      await writeFile(path, content);
      const { info } = await readPreloaded(id, { path, usages: undefined });
      assert.equal([info.state, info.kind, info.reason], ['ok', 'pair', undefined]);
      assert.equal(info.spki, spki(publicKey));
    }
    await using store = await FileStore.open(join(dir, 'state'));
    const material = parseMaterial('pkcs8', der, undefined);
    const made = await store.importKey(id, material, forSigning);
    assert.equal(made.spki, spki(publicKey));
    await using again = await FileStore.open(join(dir, 'state'));
    assert.equal((await infoIn(again, id))?.spki, spki(publicKey));
  });

  test(`are never read as a raw key in ${form}, truncated or followed by more`, async ({ dir }) => {
    const path = join(dir, 'key');
    const damaged = [16, 32, 48, 64, 100, 120, 128].map((length) => der.subarray(0, length));
    for (const content of [...damaged, Buffer.concat([der, Buffer.from('\n')])]) {
      await writeFile(path, content);
      for (const usages of [undefined, ['encrypt'] as const]) {
        const { info } = await readPreloaded(id, { path, usages });
        // an Ed25519 key is complete in 48 bytes
        if (content.equals(der)) continue;
        assert.is(info.state, 'unavailable', `${content.length} bytes`);
        assert.match(info.reason ?? '', 'holds no key that is offered');
      }
      assertInvalid(() => parseMaterial('raw', Buffer.from(content), 'hmac-sha256'));
    }
  });
}

test('are read in PEM that begins within a line', async ({ dir }) => {
  const path = join(dir, 'key');
  for (const { privateKey, publicKey, type } of [
    { ...ec, type: 'pkcs8' },
    { ...ec, type: 'sec1' },
    { ...rsa, type: 'pkcs1' },
  ] as const) {
    const text = privateKey.export({ type, format: 'pem' }).toString();
    // a certificate without a line end before it, old line ends, the indentation of YAML
    const forms = [`-----END CERTIFICATE-----${text}`, text.replaceAll('\n', '\r'), `  ${text}`];
    for (const content of forms) {
      await writeFile(path, content);
      const { info } = await readPreloaded(id, { path, usages: undefined });
      assert.equal([info.state, info.reason], ['ok', undefined]);
      assert.equal(info.spki, spki(publicKey));
    }
  }
});

function assertInvalid(action: () => unknown): void {
  assert.throws(action, (error: unknown) => isServiceError(error, 'InvalidArgs'));
}

test('are refused when the public half in version 2 is of another key', () => {
  const other = spki(generateKeyPairSync('ed25519').publicKey).subarray(-32);
  assertInvalid(() => parseMaterial('pkcs8', version2(pkcs8(ed.privateKey), other), undefined));
});

test('are not read as raw keys when they are encrypted, JSON, public or a certificate', async ({
  dir,
}) => {
  const path = join(dir, 'key');
  const cipher = { cipher: 'aes-256-cbc', passphrase: 'secret' };
  const sealed = ec.privateKey.export({ type: 'pkcs8', format: 'der', ...cipher });
  const sealedPem = ec.privateKey.export({ type: 'sec1', format: 'pem', ...cipher });
  for (const [content, reason] of [
    [sealed, /it is encrypted$/],
    [Buffer.from(sealedPem), /it is encrypted$/],
    [sealed.subarray(0, 100), /holds no key that is offered/],
    [Buffer.from(JSON.stringify({ kty: 'oct', k: 'AAAAAAAAAAAAAAAAAAAAAA' })), /holds no key/],
    [spki(ec.publicKey), /holds no key/],
    [tlv(0x30, Buffer.of(2, 1, 3), tlv(0x30, Buffer.alloc(40))), /holds no key/],
  ] as const) {
    await writeFile(path, content);
    const { info } = await readPreloaded(id, { path, usages: undefined });
    assert.equal([info.state, info.kind], ['unavailable', 'pair']);
    assert.match(info.reason ?? '', reason);
  }
});

test('in raw bytes have the declared lengths', async ({ dir }) => {
  const path = join(dir, 'key');
  for (const [length, usage, state] of [
    [15, 'sign', 'unavailable'],
    [16, 'sign', 'ok'],
    [128, 'sign', 'ok'],
    [129, 'sign', 'unavailable'],
    [31, 'encrypt', 'unavailable'],
    [32, 'encrypt', 'ok'],
    [33, 'encrypt', 'unavailable'],
  ] as const) {
    const content = randomBytes(length);
    content[0] = 0x55;
    await writeFile(path, content);
    const { info } = await readPreloaded(id, { path, usages: [usage] });
    assert.is(info.state, state, `${length} bytes to ${usage}`);
  }
});

for (const form of ['explicit', 'compressed'] as const) {
  test(`have the SPKI of the named curve when it is encoded ${form}`, async ({ dir }) => {
    const path = join(dir, 'key.pem');
    const named = join(dir, 'named.pem');
    await run('openssl', ['ecparam', '-name', 'secp384r1', '-genkey', '-noout', '-out', named]);
    const how = form === 'explicit' ? ['-param_enc', 'explicit'] : ['-conv_form', 'compressed'];
    await run('openssl', ['ec', '-in', named, ...how, '-out', path]);
    const files = await Promise.all(
      [named, path].map((one) => readPreloaded(id, { path: one, usages: undefined })),
    );
    const [plain, other] = files.map(({ info }) => info);
    assert.equal([other?.state, other?.algorithm], ['ok', 'ec-p384']);
    assert.equal(other?.spki, plain?.spki);
    const der = join(dir, 'key.der');
    const topk8 = ['pkcs8', '-topk8', '-nocrypt', '-in', path, '-outform', 'DER', '-out', der];
    await run('openssl', topk8);
    await using store = await FileStore.open(join(dir, 'state'));
    const material = parseMaterial('pkcs8', await readFile(der), undefined);
    const made = await store.importKey(id, material, { ...forSigning, exportable: true });
    assert.equal(made.spki, plain?.spki);
    const request = parseSignRequest(parseSignMechanism('ecdsa-sha384'), Buffer.from('m'), false);
    assert.ok((await withKey(store, id, (key) => key.sign(request, soon()))).length > 90);
    const exported = await withKey(store, id, (key) => key.export(soon()));
    assert.ok(exported.length < 200, 'it is exported with the name of its curve too');
  });
}

test.run();
