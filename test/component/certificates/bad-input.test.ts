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
import { failureOf, messageIn } from '../../support/failure.ts';
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
const requests: readonly (readonly [string, Buffer, string])[] = [
  ['a signature of another key', await csr([], otherKey), 'the signature of the CSR is wrong'],
  ['CA:true', await csr([basicConstraints({ ca: true })]), 'may not have the rights of a CA'],
  ['a name constraint', await csr([extension('2.5.29.30', true)]), 'the extension 2.5.29.30'],
  [
    'a name constraint that is not critical',
    await csr([extension('2.5.29.30', false)]),
    'the extension 2.5.29.30',
  ],
  ['an unknown critical extension', await csr([extension('1.2.3.4', true)]), 'extension 1.2.3.4'],
  ['10 MiB of zeros', Buffer.alloc(manyMiB), 'is larger than 262144'],
  [
    '10 MiB that are one value',
    Buffer.concat([Buffer.from('308400a00000', 'hex'), Buffer.alloc(manyMiB)]),
    'is larger than 262144',
  ],
  ['10 MiB after a request', Buffer.concat([good, Buffer.alloc(manyMiB)]), 'is larger than 262144'],
  [
    '10 MiB of PEM',
    Buffer.from(pem.replace('\n', `\n${'A'.repeat(manyMiB)}\n`)),
    'is larger than 1048576',
  ],
  ['half of the DER', good.subarray(0, good.length >> 1), 'is not DER'],
  ['DER without its last octet', good.subarray(0, -1), 'is not DER'],
  ['an indefinite length', indefinite, 'is not DER'],
  ['indefinite lengths in each other', Buffer.from('3080'.repeat(100_000), 'hex'), 'is not DER'],
  ['values in each other', nested(60_000), 'is not DER'],
  [
    'values in each other, in PEM',
    Buffer.from(encodePem(nested(60_000), 'CERTIFICATE REQUEST')),
    'is not DER',
  ],
  [
    'two requests in one PEM',
    Buffer.from(pem + encodePem(await csr(), 'CERTIFICATE REQUEST')),
    'more than one PEM block',
  ],
  ['no octets', Buffer.alloc(0), 'is not DER'],
];
const pkcs8 = String(key.export({ format: 'pem', type: 'pkcs8' }));
const notOneChain = 'the certificates are not one chain';
const imports: readonly (readonly [string, string, Buffer, string])[] = [
  ['two private keys', 'pem', Buffer.from(pkcs8 + pkcs8), 'holds a private key'],
  [
    'a chain and two private keys',
    'pem',
    Buffer.concat([pemOf(ca, root), Buffer.from(pkcs8 + pkcs8)]),
    'holds a private key',
  ],
  [
    'a chain with a CA that is no issuer in it',
    'pem',
    pemOf(leaf, stranger, ca, root),
    notOneChain,
  ],
  ['a chain with another leaf in it', 'pem', pemOf(leaf, otherLeaf, ca, root), notOneChain],
  [
    'a chain that begins with its CA and has another leaf',
    'pem',
    pemOf(ca, leaf, otherLeaf),
    notOneChain,
  ],
  ['10 MiB', 'der', Buffer.alloc(manyMiB, 0x30), 'bytes come behind it'],
  [
    '10 MiB of PEM',
    'pem',
    Buffer.concat(Array.from({ length: 16_000 }, () => pemOf(ca))),
    'is larger than 1048576',
  ],
  ['half of the DER', 'der', ca.der.subarray(0, ca.der.length >> 1), 'is not whole'],
  ['values in each other', 'der', nested(60_000), 'is not a certificate'],
  [
    'indefinite lengths in each other',
    'pkcs7',
    Buffer.from('3080'.repeat(100_000), 'hex'),
    'is not PKCS#7 signed data',
  ],
];

/** Which of the reasons is given counts: others would refuse most of these, too. */
async function assertRefused(
  call: Promise<unknown>,
  { what, why }: { readonly what: string; readonly why: string },
): Promise<void> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  const message = messageIn(error);
  assert.ok(message.startsWith('InvalidArgs: ') && message.includes(why), `${what}: ${message}`);
  const isExhausted = error instanceof Error && error.cause instanceof RangeError;
  assert.not(isExhausted, `${what} exhausts the stack`);
}

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
  for (const [what, request, why] of requests) {
    await assertRefused(rig.service.issue(sensor, request, { via }), { what, why });
  }
  assert.is(await failureOf(() => rig.service.issue(sensor, good, { via })), 'no failure');
  assert.equal(await stateOf(rig), before);
});

test('in an import is InvalidArgs, and changes nothing, also where it would replace', async () => {
  await using rig = await ready();
  const before = await stateOf(rig);
  for (const [what, format, data, why] of imports) {
    for (const id of ['device-ca', 'new']) {
      const options = { ifExists: 'replace' } as const;
      await assertRefused(rig.service.import(id, { data, format }, options), { what, why });
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
