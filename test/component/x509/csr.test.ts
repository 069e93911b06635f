import { createPublicKey, type KeyObject } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isServiceError } from '../../../src/errors.ts';
import {
  encodeAlgorithm,
  keyAlgorithmOf,
  localSigner,
  spkiOf,
} from '../../../src/x509/algorithm.ts';
import { buildCsr, parseCsr } from '../../../src/x509/csr.ts';
import {
  bitString,
  context,
  type Element,
  encode,
  integer,
  nullValue,
  oid,
  raw,
  sequence,
  set,
} from '../../../src/x509/der/asn1.ts';
import {
  basicConstraints,
  encodeExtensions,
  extendedKeyUsage,
  keyUsage,
  subjectAlternativeName,
} from '../../../src/x509/extensions.ts';
import { encodeName, formatName, parseName } from '../../../src/x509/name.ts';
import { encodePem } from '../../../src/x509/pem.ts';
import { parseAlternativeName } from '../../../src/x509/subject-alternative-name.ts';
import { failureOf } from '../../support/failure.ts';
import { tlv } from '../../support/x509/odd-certificate.ts';
import { keyKinds, makeKey, openssl, Workspace } from '../../support/x509/openssl.ts';

const test = suite('certificate requests');

function makeCsr(kind: (typeof keyKinds)[number] = 'ec-p256'): Promise<Buffer> {
  const key = makeKey(kind);
  return buildCsr({
    subject: parseName('CN=edge,O=Contoso'),
    spki: spkiOf(key),
    extensions: [
      subjectAlternativeName([
        parseAlternativeName('dns', 'Edge.local'),
        parseAlternativeName('ip', '2001:db8::1'),
        parseAlternativeName('uri', 'urn:edge:1'),
      ]),
      keyUsage(['digitalSignature']),
      extendedKeyUsage(['serverAuth', 'clientAuth']),
      basicConstraints({ ca: false }),
    ],
    signer: localSigner(key),
  });
}

for (const kind of keyKinds) {
  test(`builds requests with ${kind} keys that openssl verifies, and reads them back`, async () => {
    using files = new Workspace();
    const der = await makeCsr(kind);
    const path = files.write('csr.pem', encodePem(der, 'CERTIFICATE REQUEST'));
    assert.match(openssl('req', '-in', path, '-verify', '-noout', '-text'), 'DNS:edge.local');
    const request = parseCsr(der);
    assert.is(request.keyAlgorithm, kind);
    assert.is(formatName(request.subject), 'CN=edge,O=Contoso');
    assert.equal(request.requested, {
      alternativeNames: [
        { kind: 'dns', value: 'edge.local' },
        { kind: 'ip', value: '2001:db8::1' },
        { kind: 'uri', value: 'urn:edge:1' },
      ],
      basicConstraints: { ca: false, pathLength: undefined },
      keyUsage: ['digitalSignature'],
      extendedKeyUsage: ['serverAuth', 'clientAuth'],
      others: [],
    });
  });
}

test('reads a request made by openssl', async () => {
  using files = new Workspace();
  const key = files.write('key.pem', makeKey('ec-p384').export({ format: 'pem', type: 'pkcs8' }));
  const pem = openssl(
    'req',
    '-new',
    '-key',
    key,
    '-subj',
    '/C=DE/O=Contoso/CN=edge',
    '-addext',
    'subjectAltName=DNS:a.example,IP:10.0.0.1',
    '-addext',
    'basicConstraints=critical,CA:TRUE,pathlen:1',
    '-addext',
    'certificatePolicies=1.2.3.4',
  );
  const request = parseCsr(Buffer.from(pem));
  assert.is(formatName(request.subject), 'CN=edge,O=Contoso,C=DE');
  assert.equal(request.requested.basicConstraints, { ca: true, pathLength: 1 });
  assert.equal(request.requested.others, ['2.5.29.32']);
  assert.is(request.requested.alternativeNames.length, 2);
});

test('reads a request in every format that tools write', async () => {
  const pem = encodePem(await makeCsr(), 'CERTIFICATE REQUEST');
  const parameters =
    '-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n';
  for (const form of [
    `\uFEFF${pem}`,
    Buffer.from(`\uFEFF${pem}`, 'utf16le'),
    pem.replaceAll('\n', '\r\n'),
    pem.replaceAll('\n', '\r'),
    pem.replaceAll('\n', ' \n'),
    `Certificate Request:\n    Data:\n${pem}`,
    parameters + pem,
    pem.replaceAll('CERTIFICATE', 'NEW CERTIFICATE'),
  ]) {
    assert.is(formatName(parseCsr(Buffer.from(form)).subject), 'CN=edge,O=Contoso');
  }
  const other = encodePem(await makeCsr(), 'CERTIFICATE REQUEST');
  const key = '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n';
  for (const form of [pem + other, key + pem]) {
    assert.is(await failureOf(() => parseCsr(Buffer.from(form))), 'InvalidArgs');
  }
});

test('reads the extension request of Windows with its own OID', async () => {
  const key = makeKey('ec-p256');
  const names = subjectAlternativeName([parseAlternativeName('dns', 'edge.local')]);
  const attribute = sequence(oid('1.3.6.1.4.1.311.2.1.14'), set(encodeExtensions([names])));
  const der = await csrOf(key, [attribute]);
  assert.equal(parseCsr(der).requested.alternativeNames, [{ kind: 'dns', value: 'edge.local' }]);
  const twice = [attribute, sequence(oid('1.2.840.113549.1.9.14'), set(encodeExtensions([names])))];
  const doubled = await csrOf(key, twice);
  assert.is(await failureOf(() => parseCsr(doubled)), 'InvalidArgs');
});

test('refuses names of unsupported kinds, and reports the kind', async () => {
  const key = makeKey('ec-p256');
  for (const [kind, odd] of [
    ['otherName', tlv(0xa0, Buffer.concat([tlv(6, '\x2b\x06'), tlv(0xa0, tlv(0x0c, 'x'))]))],
    ['x400Address', tlv(0xa3, tlv(0x30, ''))],
    ['directoryName', tlv(0xa4, encodeName(parseName('CN=x')))],
    ['ediPartyName', tlv(0xa5, tlv(0xa1, tlv(0x0c, 'x')))],
    ['registeredID', tlv(0x88, '\x2a\x03')],
    ['5 bytes', tlv(0x87, 'abcde')],
    ['not a valid dns name', tlv(0x82, 'a\0b')],
    ['not a valid uri name', tlv(0x86, '')],
  ] as const) {
    const value = tlv(0x30, Buffer.concat([tlv(0x82, 'good.example'), odd]));
    const extension = { oid: '2.5.29.17', critical: false, value };
    const request = { subject: [], spki: spkiOf(key), signer: localSigner(key) };
    const der = await buildCsr({ ...request, extensions: [extension] });
    assert.throws(
      () => parseCsr(der),
      (error: unknown) => isServiceError(error, 'InvalidArgs') && error.message.includes(kind),
      kind,
    );
  }
});

test('normalizes the key of a request', () => {
  using files = new Workspace();
  const key = files.write('key', openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout'));
  const requests = [[], ['-param_enc', 'explicit'], ['-conv_form', 'compressed']].map((form) => {
    const other = files.write('other', openssl('ec', '-in', key, ...form));
    return parseCsr(Buffer.from(openssl('req', '-new', '-key', other, '-subj', '/CN=x')));
  });
  const [plain, ...others] = requests.map(({ spki }) => spki);
  for (const spki of others) assert.equal(spki, plain);
});

test('refuses a request whose signature belongs to another key', async () => {
  const forged = buildCsr({
    subject: parseName('CN=edge'),
    spki: spkiOf(makeKey('ec-p256')),
    signer: localSigner(makeKey('ec-p256')),
  });
  const der = await forged;
  assert.is(await failureOf(() => parseCsr(der)), 'InvalidArgs');
});

/** A request with exactly these attributes. */
async function csrOf(key: KeyObject, attributes: readonly Element[]): Promise<Buffer> {
  const signer = localSigner(key);
  const name = raw(encodeName(parseName('CN=edge')));
  const unsigned = sequence(integer(0), name, raw(spkiOf(key)), context(0, attributes));
  const signature = bitString(await signer.sign(encode(unsigned)));
  return encode(sequence(unsigned, encodeAlgorithm(signer.algorithm), signature));
}

test('refuses unknown members of a request', async () => {
  const key = makeKey('ec-p256');
  const signer = localSigner(key);
  const build = async (inside: readonly Element[], outside: readonly Element[]) => {
    const name = raw(encodeName(parseName('CN=edge')));
    const unsigned = sequence(integer(0), name, raw(spkiOf(key)), context(0, []), ...inside);
    const signature = bitString(await signer.sign(encode(unsigned)));
    return encode(sequence(unsigned, encodeAlgorithm(signer.algorithm), signature, ...outside));
  };
  const whole = await build([], []);
  assert.is(await failureOf(() => parseCsr(whole)), 'no failure');
  for (const der of [await build([nullValue()], []), await build([], [nullValue()])]) {
    assert.is(await failureOf(() => parseCsr(der)), 'InvalidArgs');
  }
});

test('refuses a request of another version, and attributes with another tag', async () => {
  const key = makeKey('ed25519');
  const signer = localSigner(key);
  const build = async (version: number, tag: number) => {
    const name = raw(encodeName(parseName('CN=edge')));
    const unsigned = sequence(integer(version), name, raw(spkiOf(key)), context(tag, []));
    const signature = bitString(await signer.sign(encode(unsigned)));
    return encode(sequence(unsigned, encodeAlgorithm(signer.algorithm), signature));
  };
  const good = await build(0, 0);
  assert.is(await failureOf(() => parseCsr(good)), 'no failure');
  for (const der of [await build(1, 0), await build(2, 0), await build(0, 1)]) {
    assert.throws(() => parseCsr(der), /the CSR is malformed/);
  }
});

test('refuses a request in BER, though openssl accepts its signature', async () => {
  const der = await makeCsr();
  assert.equal(der.subarray(0, 2), Buffer.from([0x30, 0x82]));
  // the length in one octet more than needed
  const ber = Buffer.concat([Buffer.from([0x30, 0x83, 0]), der.subarray(2)]);
  using files = new Workspace();
  const path = files.write('ber', ber);
  assert.match(
    openssl('req', '-inform', 'DER', '-in', path, '-verify', '-noout', '-subject'),
    'edge',
  );
  assert.throws(() => parseCsr(ber), /the CSR is not DER/);
});

test('refuses RSA keys with which anyone can sign', () => {
  const jwk = createPublicKey(makeKey('rsa-2048')).export({ format: 'jwk' });
  const algorithmWith = (exponent: number) => {
    const e = Buffer.from([exponent]).toString('base64url');
    return () => keyAlgorithmOf(createPublicKey({ key: { ...jwk, e }, format: 'jwk' }));
  };
  assert.is(algorithmWith(3)(), 'rsa-2048');
  for (const exponent of [1, 2, 4]) assert.throws(algorithmWith(exponent), /not supported/);
});

test('refuses every truncation and survives every flipped byte', async () => {
  const der = await makeCsr();
  for (let length = 0; length < der.length; length += 3) {
    assert.is(await failureOf(() => parseCsr(der.subarray(0, length))), 'InvalidArgs');
  }
  for (let at = 0; at < der.length; at++) {
    const changed = Buffer.from(der);
    changed.writeUInt8(changed.readUInt8(at) ^ 0x55, at);
    assert.match(await failureOf(() => parseCsr(changed)), /InvalidArgs|NotSupported/);
  }
});

test('refuses huge lengths, deep nesting, trailing bytes and other PEM blocks', async () => {
  const der = await makeCsr();
  const nested = Buffer.alloc(4096);
  for (let at = 0; at < nested.length; at += 4) nested.set([0x30, 0x82, 0x0f, 0xff], at);
  const hostile = [
    Buffer.from('3084ffffffff', 'hex'),
    Buffer.from('308800ffffffffffffff', 'hex'),
    Buffer.from('3080', 'hex'),
    Buffer.from(`${'3080'.repeat(2000)}`, 'hex'),
    nested,
    Buffer.alloc(300_000, 0x30),
    Buffer.concat([der, Buffer.from([0])]),
    Buffer.from(encodePem(der, 'CERTIFICATE')),
    Buffer.from('-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n'),
    Buffer.alloc(0),
  ];
  for (const bytes of hostile) assert.is(await failureOf(() => parseCsr(bytes)), 'InvalidArgs');
});

test.run();
