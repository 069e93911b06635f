import { X509Certificate } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encodeAlgorithm, localSigner, spkiOf } from '../../../src/x509/algorithm.ts';
import {
  type Certificate,
  encodeCertificatesPem,
  isCa,
  isIssuedBy,
  parseCertificate,
} from '../../../src/x509/certificate.ts';
import { buildCertificate, validityWithin } from '../../../src/x509/certificate-builder.ts';
import { encode } from '../../../src/x509/der/asn1.ts';
import { elementsIn, firstElement } from '../../../src/x509/der/tlv.ts';
import {
  authorityKeyId,
  basicConstraints,
  extendedKeyUsage,
  keyIdentifier,
  keyUsage,
  subjectAlternativeName,
} from '../../../src/x509/extensions.ts';
import { encodeName, parseName } from '../../../src/x509/name.ts';
import { parseAlternativeName } from '../../../src/x509/subject-alternative-name.ts';
import { failureOf } from '../../support/failure.ts';
import { keyKinds, makeCa, makeKey, openssl, Workspace } from '../../support/x509/openssl.ts';

const test = suite('building certificates');
const day = 86_400_000;

async function makeLeaf(kind: (typeof keyKinds)[number]): Promise<readonly Certificate[]> {
  const [rootKey, caKey] = [makeKey(kind), makeKey(kind)];
  const root = await makeCa({ name: 'CN=root', key: rootKey });
  const ca = await makeCa({
    name: 'CN=device ca,O=Contoso,C=DE',
    key: caKey,
    by: { certificate: root, key: rootKey },
    pathLength: 0,
  });
  const der = await buildCertificate(
    {
      subjectDer: encodeName(parseName('CN=edgeHub')),
      spki: spkiOf(makeKey('ec-p256')),
      validity: validityWithin(ca, { now: new Date(), lifetimeMs: 30 * day }),
      extensions: [
        basicConstraints({ ca: false }),
        keyUsage(['digitalSignature']),
        extendedKeyUsage(['serverAuth']),
        subjectAlternativeName([
          parseAlternativeName('dns', 'edgehub'),
          parseAlternativeName('ip', '172.18.0.2'),
        ]),
      ],
    },
    ca,
    localSigner(caKey),
  );
  return [parseCertificate(der, 'leaf'), ca, root];
}

for (const kind of keyKinds) {
  test(`builds chains with ${kind} CAs that openssl verifies strictly`, async () => {
    using files = new Workspace();
    const [leaf, ca, root] = await makeLeaf(kind);
    assert.ok(leaf && ca && root);
    const paths = [leaf, ca, root].map((one, at) =>
      files.write(`${at}.pem`, encodeCertificatesPem([one])),
    );
    const [leafPath = '', caPath = '', rootPath = ''] = paths;
    const purpose = ['-x509_strict', '-purpose', 'sslserver', '-verify_hostname', 'edgehub'];
    const trust = ['-CAfile', rootPath, '-untrusted', caPath];
    const verified = openssl('verify', ...purpose, ...trust, leafPath);
    assert.match(verified, ': OK');
    assert.ok(isIssuedBy(leaf, ca) && isIssuedBy(ca, root) && !isIssuedBy(leaf, root));
    assert.ok(leaf.x509.checkIssued(ca.x509));
  });
}

test('sets a version, identifiers and a positive random serial number', async () => {
  using files = new Workspace();
  const [leaf, ca] = await makeLeaf('ec-p256');
  assert.ok(leaf && ca);
  const path = files.write('leaf.pem', encodeCertificatesPem([leaf]));
  const text = openssl('x509', '-in', path, '-noout', '-text');
  assert.match(text, 'Version: 3');
  assert.match(text, /X509v3 Key Usage: critical\s+Digital Signature/);
  assert.match(text, 'TLS Web Server Authentication');
  assert.match(text, 'DNS:edgehub, IP Address:172.18.0.2');
  assert.match(text, 'X509v3 Authority Key Identifier');
  assert.is.not(leaf.serialNumber, ca.serialNumber);
});

test('sets positive serial numbers in which every bit but the sign is random', async () => {
  const key = makeKey('ec-p256');
  const serials: bigint[] = [];
  for (let count = 0; count < 64; count++) {
    serials.push(BigInt(`0x${(await makeCa({ name: 'CN=one of many', key })).serialNumber}`));
  }
  const ones = serials.reduce((all, serial) => all | serial);
  const zeros = serials.reduce((all, serial) => all | ~serial, 0n);
  const every = 2n ** 127n - 1n;
  assert.is(ones, every);
  assert.is(zeros & every, every);
});

test('signs with the hash of the CA: by the size of RSA, by the curve of ECDSA', async () => {
  using files = new Workspace();
  for (const [kind, algorithm] of [
    ['rsa-2048', 'sha256WithRSAEncryption'],
    ['rsa-3072', 'sha384WithRSAEncryption'],
    ['ec-p256', 'ecdsa-with-SHA256'],
    ['ec-p384', 'ecdsa-with-SHA384'],
    ['ec-p521', 'ecdsa-with-SHA512'],
  ] as const) {
    const ca = await makeCa({ name: 'CN=root', key: makeKey(kind) });
    const path = files.write('ca.pem', encodeCertificatesPem([ca]));
    const text = openssl('x509', '-in', path, '-noout', '-text');
    assert.match(text, `Signature Algorithm: ${algorithm}`, kind);
    assert.match(openssl('verify', '-x509_strict', '-CAfile', path, path), ': OK', kind);
  }
});

test('builds what the reader reads back', async () => {
  const [leaf, ca] = await makeLeaf('rsa-2048');
  assert.ok(leaf && ca);
  assert.is(leaf.subjectText, 'CN=edgeHub');
  assert.is(leaf.issuerText, 'CN=device ca,O=Contoso,C=DE');
  assert.equal(leaf.alternativeNames, ['dns:edgehub', 'ip:172.18.0.2']);
  assert.equal(leaf.extendedKeyUsage, ['serverAuth']);
  assert.is(
    leaf.fingerprint,
    new X509Certificate(leaf.der).fingerprint256.replaceAll(':', '').toLowerCase(),
  );
  assert.equal(ca.basicConstraints, { ca: true, pathLength: 0 });
  assert.ok(isCa(ca) && !isCa(leaf));
});

test('limits a certificate to the validity of its issuer', async () => {
  const now = new Date('2026-06-01T12:00:00.700Z');
  const issuer = {
    notBefore: new Date('2026-06-01T11:58:00Z'),
    notAfter: new Date('2026-06-02T00:00:00Z'),
  };
  const short = validityWithin(issuer, { now, lifetimeMs: 3_600_000 });
  assert.equal(short.notBefore, issuer.notBefore);
  assert.equal(short.notAfter, new Date('2026-06-01T13:00:00Z'));
  assert.equal(validityWithin(issuer, { now, lifetimeMs: day }).notAfter, issuer.notAfter);
  const early = { ...issuer, notBefore: new Date('2026-01-01T00:00:00Z') };
  assert.equal(
    validityWithin(early, { now, lifetimeMs: day }).notBefore,
    new Date('2026-06-01T11:55:00Z'),
  );
  const after = new Date('2026-06-02T00:00:00Z');
  const code = await failureOf(() => validityWithin(issuer, { now: after, lifetimeMs: day }));
  assert.is(code, 'Unavailable');
});

test('issues from the first instant of its issuer to the last but one', async () => {
  const [notBefore, notAfter] = [
    new Date('2026-06-01T00:00:00Z'),
    new Date('2026-06-02T00:00:00Z'),
  ];
  const codeAt = (ms: number) =>
    failureOf(() =>
      validityWithin({ notBefore, notAfter }, { now: new Date(ms), lifetimeMs: day }),
    );
  assert.is(await codeAt(notBefore.getTime() - 1), 'Unavailable');
  assert.is(await codeAt(notBefore.getTime()), 'no failure');
  assert.is(await codeAt(notAfter.getTime() - 1), 'no failure');
  assert.is(await codeAt(notAfter.getTime()), 'Unavailable');
});

test('identifies the keys of the subject and of the issuer, and repeats the algorithm', async () => {
  const [leaf, ca] = await makeLeaf('ed25519');
  assert.ok(leaf && ca);
  assert.equal(leaf.keyIdentifier, keyIdentifier(leaf.spki));
  const issuerKey = authorityKeyId(ca.keyIdentifier).value;
  assert.ok(leaf.der.includes(issuerKey));
  const algorithm = encode(encodeAlgorithm('ed25519'));
  const [unsigned, second] = elementsIn(firstElement(leaf.der)?.content ?? leaf.der);
  const [version, serial, first] = elementsIn(unsigned?.content ?? leaf.der);
  assert.equal(version?.bytes, Buffer.from('a003020102', 'hex'));
  assert.ok(serial !== undefined && serial.content.length <= 16);
  assert.equal([first?.bytes, second?.bytes], [algorithm, algorithm]);
});

test('encodes times after 2049 as GeneralizedTime', async () => {
  const key = makeKey('ec-p256');
  const ca = await makeCa({ name: 'CN=late', key, now: new Date('2049-12-31T18:00:00Z') });
  assert.equal(ca.notBefore, new Date('2049-12-31T17:00:00Z'));
  assert.equal(ca.notAfter, new Date('2050-01-01T17:00:00Z'));
});

test.run();
