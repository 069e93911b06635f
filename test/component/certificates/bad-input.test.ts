/** Requests and certificates that no honest program sends: each a documented error, and the state is as before. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseCertificateId } from '../../../src/ids.ts';
import { localSigner, spkiOf } from '../../../src/x509/algorithm.ts';
import { type Certificate, encodeCertificatesPem } from '../../../src/x509/certificate.ts';
import { buildCsr } from '../../../src/x509/csr.ts';
import { basicConstraints, type Extension } from '../../../src/x509/extensions.ts';
import { encodePem } from '../../../src/x509/pem.ts';
import { failureOf } from '../../support/failure.ts';
import { via } from '../../support/via.ts';
import { issue } from '../../support/x509/issued-by.ts';
import { tlv } from '../../support/x509/odd-certificate.ts';
import { makeCa, makeKey } from '../../support/x509/openssl.ts';
import { Rig } from './rig.ts';

const test = suite('bad input');
const key = makeKey('ec-p256');
const [rootKey, caKey, otherKey] = [makeKey('ec-p256'), makeKey('ec-p256'), makeKey('ec-p256')];
const root = await makeCa({ name: 'CN=root', key: rootKey });
const ca = await makeCa({ name: 'CN=ca', key: caKey, by: { certificate: root, key: rootKey } });
const stranger = await makeCa({
  name: 'CN=stranger',
  key: otherKey,
  by: { certificate: await makeCa({ name: 'CN=elsewhere', key: otherKey }), key: otherKey },
});
const leafOf = (name: string) =>
  issue({
    name,
    key,
    by: { certificate: ca, key: caKey },
    notBefore: ca.notBefore,
    notAfter: ca.notAfter,
    extensions: [basicConstraints({ ca: false })],
  });
const [leaf, otherLeaf] = [await leafOf('CN=one'), await leafOf('CN=two')];
const sensor = parseCertificateId('sensor');
const pemOf = (...certificates: readonly Certificate[]): Buffer =>
  Buffer.from(encodeCertificatesPem(certificates));

function csr(extensions: readonly Extension[] = [], signedBy = key): Promise<Buffer> {
  return buildCsr({ subject: [], spki: spkiOf(key), extensions, signer: localSigner(signedBy) });
}

function extension(oid: string, critical: boolean): Extension {
  return { oid, critical, value: tlv(0x30, '') };
}

/** SEQUENCEs in each other, as many as fit: 4 octets each. */
function nested(bytes: number): Buffer {
  const all = Buffer.alloc(bytes);
  for (let at = 0; at + 4 <= bytes; at += 4) {
    all.set([0x30, 0x82], at);
    all.writeUInt16BE(Math.min(bytes - at - 4, 0xffff), at + 2);
  }
  return all;
}

const good = await csr();
const pem = encodePem(good, 'CERTIFICATE REQUEST');
const indefinite = Buffer.concat([Buffer.from('3080', 'hex'), good.subarray(4), Buffer.alloc(2)]);
const manyMiB = 10 << 20;
const requests: readonly (readonly [string, Buffer])[] = [
  ['a signature of another key', await csr([], otherKey)],
  ['CA:true', await csr([basicConstraints({ ca: true })])],
  ['a name constraint', await csr([extension('2.5.29.30', true)])],
  ['a name constraint that is not critical', await csr([extension('2.5.29.30', false)])],
  ['an unknown critical extension', await csr([extension('1.2.3.4', true)])],
  ['10 MiB of zeros', Buffer.alloc(manyMiB)],
  [
    '10 MiB that are one value',
    Buffer.concat([Buffer.from('308400a00000', 'hex'), Buffer.alloc(manyMiB)]),
  ],
  ['10 MiB after a request', Buffer.concat([good, Buffer.alloc(manyMiB)])],
  ['10 MiB of PEM', Buffer.from(pem.replace('\n', `\n${'A'.repeat(manyMiB)}\n`))],
  ['half of the DER', good.subarray(0, good.length >> 1)],
  ['DER without its last octet', good.subarray(0, -1)],
  ['an indefinite length', indefinite],
  ['indefinite lengths in each other', Buffer.from('3080'.repeat(100_000), 'hex')],
  ['values in each other', nested(60_000)],
  ['values in each other, in PEM', Buffer.from(encodePem(nested(60_000), 'CERTIFICATE REQUEST'))],
  ['two requests in one PEM', Buffer.from(pem + encodePem(await csr(), 'CERTIFICATE REQUEST'))],
  ['no octets', Buffer.alloc(0)],
];
const pkcs8 = String(key.export({ format: 'pem', type: 'pkcs8' }));
const imports: readonly (readonly [string, string, Buffer])[] = [
  ['two private keys', 'pem', Buffer.from(pkcs8 + pkcs8)],
  [
    'a chain and two private keys',
    'pem',
    Buffer.concat([pemOf(ca, root), Buffer.from(pkcs8 + pkcs8)]),
  ],
  ['a chain with a CA that is no issuer in it', 'pem', pemOf(leaf, stranger, ca, root)],
  ['a chain with another leaf in it', 'pem', pemOf(leaf, otherLeaf, ca, root)],
  ['a chain that begins with its CA and has another leaf', 'pem', pemOf(ca, leaf, otherLeaf)],
  ['10 MiB', 'der', Buffer.alloc(manyMiB, 0x30)],
  ['10 MiB of PEM', 'pem', Buffer.concat(Array.from({ length: 16_000 }, () => pemOf(ca)))],
  ['half of the DER', 'der', ca.der.subarray(0, ca.der.length >> 1)],
  ['values in each other', 'der', nested(60_000)],
  ['indefinite lengths in each other', 'pkcs7', Buffer.from('3080'.repeat(100_000), 'hex')],
];

/** Everything that the service has stored or shows. */
async function stateOf({ directory, published }: Rig): Promise<unknown> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));
  const contents = await Promise.all(
    files.sort().map(async (path) => [path, await readFile(path, 'hex')]),
  );
  return { contents, shown: [...published.objects], all: { ...published.properties } };
}

async function ready(): Promise<Rig> {
  const rig = await Rig.start();
  rig.keys.add('device-ca', caKey);
  await rig.service.import('device-ca', { data: pemOf(ca, root), format: 'pem' }, {});
  await rig.service.issue(sensor, good, { via }); // finds the key
  return rig;
}

test('in a request is InvalidArgs, and changes nothing', async () => {
  await using rig = await ready();
  const before = await stateOf(rig);
  for (const [what, request] of requests) {
    const failure = await failureOf(() => rig.service.issue(sensor, request, { via }));
    assert.is(failure, 'InvalidArgs', what);
  }
  assert.is(await failureOf(() => rig.service.issue(sensor, good, { via })), 'no failure');
  assert.equal(await stateOf(rig), before);
});

test('in an import is InvalidArgs, and changes nothing, also where it would replace', async () => {
  await using rig = await ready();
  const before = await stateOf(rig);
  for (const [what, format, data] of imports) {
    for (const id of ['device-ca', 'new']) {
      const options = { ifExists: 'replace' } as const;
      const failure = await failureOf(() => rig.service.import(id, { data, format }, options));
      assert.is(failure, 'InvalidArgs', what);
    }
  }
  assert.equal(await stateOf(rig), before);
});

test('of certificates in the wrong order is sorted', async () => {
  await using rig = await ready();
  const leaf = await rig.service.issue(sensor, good, { via });
  const reversed = leaf
    .split(/(?=-----BEGIN)/)
    .reverse()
    .join('');
  await rig.service.import('sensor', { data: Buffer.from(reversed), format: 'pem' }, {});
  assert.is((await rig.service.get('sensor')).chain_pem, leaf);
});

test.run();
