/** Fields that an issued certificate inherits from its CA, and which CAs issue. */
import type { KeyObject } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isServiceError } from '../../../../src/errors.ts';
import { parseCertificateId } from '../../../../src/ids.ts';
import { localSigner, spkiOf } from '../../../../src/x509/algorithm.ts';
import {
  type Certificate,
  encodeCertificatesPem,
  isIssuedBy,
  parseCertificatesPem,
} from '../../../../src/x509/certificate.ts';
import { buildCsr } from '../../../../src/x509/csr.ts';
import { type Extension, subjectAlternativeName } from '../../../../src/x509/extensions.ts';
import { parseName } from '../../../../src/x509/name.ts';
import { parseAlternativeName } from '../../../../src/x509/subject-alternative-name.ts';
import { failureOf } from '../../../support/failure.ts';
import { via } from '../../../support/via.ts';
import { makeCa, makeKey } from '../../../support/x509/openssl.ts';
import { Rig } from '../rig.ts';

const test = suite('the issuing authority');

const module = 'iotedge/module/web:server';
const [rootKey, middleKey, caKey, leafKey] = Array.from({ length: 4 }, () =>
  makeKey('ed25519'),
) as [KeyObject, KeyObject, KeyObject, KeyObject];
const root = await makeCa({ name: 'CN=root', key: rootKey });
const middle = await makeCa({
  name: 'CN=middle',
  key: middleKey,
  by: { certificate: root, key: rootKey },
});
const ca = await makeCa({ name: 'CN=ca', key: caKey, by: { certificate: middle, key: middleKey } });
/** Within the validity of the CA, which is a day of which an hour has passed, at a whole second. */
const now = new Date(ca.notBefore.getTime() + 7_200_000);

function request(subject = '', extensions: readonly Extension[] = []): Promise<Buffer> {
  const name = parseName(subject);
  const signer = localSigner(leafKey);
  return buildCsr({ subject: name, spki: spkiOf(leafKey), extensions, signer });
}

/** A service with a CA of these certificates, and the certificates that it issues. */
async function authority(
  chain: readonly Certificate[],
  {
    settings = {},
    key = caKey,
    keyId = 'device-ca',
    id = 'device-ca',
  }: {
    readonly settings?: Readonly<Record<string, unknown>>;
    readonly key?: KeyObject;
    readonly keyId?: string;
    readonly id?: string;
  } = {},
) {
  const rig = await Rig.start(settings);
  rig.now = now;
  rig.keys.add(keyId, key);
  const data = Buffer.from(encodeCertificatesPem(chain));
  await rig.service.import(id, { data, format: 'pem' }, {});
  const issue = async (
    of: string,
    csr: Buffer,
    options: Readonly<Record<string, string | number>> = {},
  ) => {
    const pem = await rig.service.issue(parseCertificateId(of), csr, { ...options, via });
    const [leaf, ...above] = parseCertificatesPem(Buffer.from(pem), 'it');
    assert.ok(leaf);
    return { leaf, above };
  };
  return { rig, issue, [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose]() };
}

test('certifies the key of the request, from five minutes ago for the requested lifetime', async () => {
  await using device = await authority([ca, middle, root]);
  const { leaf } = await device.issue('sensor', await request(), { lifetime_s: 90 });
  assert.equal(leaf.spki, spkiOf(leafKey));
  assert.is(leaf.notBefore.getTime(), now.getTime() - 300_000);
  assert.is(leaf.notAfter.getTime(), now.getTime() + 90_000);
  assert.is(leaf.issuerText, 'CN=ca');
  assert.ok(isIssuedBy(leaf, ca));
  assert.is(leaf.version, 3);
});

test('never begins the validity before that of the CA, and uses the clock of the service', async () => {
  await using device = await authority([ca, middle, root]);
  device.rig.now = new Date(ca.notBefore.getTime() + 1000);
  const { leaf } = await device.issue('sensor', await request(), { lifetime_s: 90 });
  assert.equal(leaf.notBefore, ca.notBefore);
  assert.is(leaf.notAfter.getTime(), device.rig.now.getTime() + 90_000);
  device.rig.now = new Date(ca.notBefore.getTime() - 1000);
  const early = request().then((csr) => device.issue('sensor', csr));
  assert.is(await failureOf(() => early), 'Unavailable');
});

test('returns the CA and those above it, without the root', async () => {
  const names = (all: readonly Certificate[]) => all.map(({ subjectText }) => subjectText);
  for (const [chain, above] of [
    [
      [ca, middle, root],
      ['CN=ca', 'CN=middle'],
    ],
    [
      [ca, middle],
      ['CN=ca', 'CN=middle'],
    ],
    [[ca], ['CN=ca']],
  ] as const) {
    await using device = await authority(chain);
    assert.equal(names((await device.issue('sensor', await request())).above), above);
  }
  await using alone = await authority([root], { key: rootKey });
  const { leaf, above } = await alone.issue('sensor', await request());
  assert.equal(names(above), ['CN=root'], 'a root that issues by itself is given');
  assert.ok(isIssuedBy(leaf, root));
});

test('omits certificates that are unrelated to the CA', async () => {
  const spare = await makeCa({ name: 'CN=spare', key: makeKey('ed25519') });
  await using device = await authority([ca, middle, root, spare]);
  const { above } = await device.issue('sensor', await request());
  assert.equal(
    above.map(({ subjectText }) => subjectText),
    ['CN=ca', 'CN=middle'],
  );
});

test('marks alternative names critical where there is no subject, and only there', async () => {
  await using device = await authority([ca]);
  const names = subjectAlternativeName([parseAlternativeName('dns', 'web')]);
  const critical = Buffer.from('0603551d110101ff', 'hex');
  for (const [subject, isCritical] of [
    ['', true],
    ['CN=web', false],
  ] as const) {
    const { leaf } = await device.issue(module, await request(subject, [names]));
    assert.is(leaf.der.includes(critical), isCritical);
    assert.equal(leaf.alternativeNames, ['dns:web']);
    assert.is(leaf.subjectText, subject);
  }
  const { leaf } = await device.issue('sensor', await request());
  assert.not.ok(leaf.der.includes(critical.subarray(0, 5)), 'no name, no extension');
});

test('returns no certificate whose signature is not that of the CA', async () => {
  await using device = await authority([ca]);
  device.rig.keys.signer = () => localSigner(makeKey('ed25519'));
  const wrong = request().then((csr) => device.issue('sensor', csr));
  const failure: unknown = await wrong.catch((error: unknown) => error);
  assert.ok(isServiceError(failure, 'Failed'));
  assert.match(failure.message, /signature by the key of device-ca does not verify/);
});

test('signs with the key of the CA, by its id', async () => {
  await using device = await authority([ca], { keyId: 'elsewhere' });
  const { leaf } = await device.issue('sensor', await request());
  assert.ok(isIssuedBy(leaf, ca));
});

test('looks a key up again after the known one was replaced', async () => {
  await using device = await authority([ca], { keyId: 'first' });
  const csr = await request();
  await device.issue('sensor', csr);
  device.rig.keys.delete('first');
  device.rig.keys.add('second', caKey);
  assert.is(await failureOf(() => device.issue('sensor', csr)), 'NotFound');
  await device.issue('sensor', csr);
});

test('reports that the CA has no key', async () => {
  await using device = await authority([ca], { key: makeKey('ed25519') });
  const failure: unknown = await request()
    .then((csr) => device.issue('sensor', csr))
    .catch((error: unknown) => error);
  assert.ok(isServiceError(failure, 'NotFound'));
  assert.is(failure.message, 'no key of the certificate "device-ca"');
});

test('looks the key of the CA up at once, though a read found none a moment ago', async () => {
  await using device = await authority([ca], { key: makeKey('ed25519') });
  assert.is((await device.rig.service.get('device-ca')).key_id, '');
  device.rig.keys.add('made', caKey);
  await device.issue('sensor', await request());
});

for (const [keyId, id, code] of [
  ['iotedge/certificate/web-ca', 'web-ca', 'no failure'],
  ['iotedge/certificate/web-ca@2', 'web-ca', 'no failure'],
  ['iotedge/certificate/web-ca@2@3', 'web-ca', 'AccessDenied'],
  ['iotedge/certificate/web-ca2', 'web-ca', 'AccessDenied'],
  ['iotedge/certificate/other', 'web-ca', 'AccessDenied'],
  ['iotedge/web-ca', 'web-ca', 'AccessDenied'],
  ['iotedge/certificate/other', 'iotedge/ca', 'no failure'],
  ['iotedgex/certificate', 'web-ca', 'no failure'],
] as const) {
  test(`${code === 'no failure' ? 'issues' : 'does not issue'} with the key ${keyId} as ${id}`, async () => {
    await using device = await authority([ca], { keyId, id });
    const csr = await request();
    assert.is(await failureOf(() => device.issue('sensor', csr, { issuer: id })), code);
  });
}

test('issues for an id by the CA that its rule names', async () => {
  const settings = { certificates: { sensor: { issuer: 'site-ca' } } };
  await using device = await authority([ca], { settings, id: 'site-ca' });
  const { leaf } = await device.issue('sensor', await request());
  assert.ok(isIssuedBy(leaf, ca));
  const csr = await request();
  assert.is(await failureOf(() => device.issue('other', csr)), 'NotFound');
  assert.equal(device.rig.service.resolve(parseCertificateId('sensor'), {}), {
    issuer: 'site-ca',
    profile: 'client',
  });
  assert.equal(device.rig.service.resolve(parseCertificateId('other'), {}), {
    issuer: 'device-ca',
    profile: 'client',
  });
});

test('does not count a CA that was renewed under its own name towards the path length', async () => {
  const key = makeKey('ed25519');
  const narrow = await makeCa({ name: 'CN=narrow', key: rootKey, pathLength: 1 });
  const first = await makeCa({ name: 'CN=ca', key, by: { certificate: narrow, key: rootKey } });
  const renewed = await makeCa({ name: 'CN=ca', key: caKey, by: { certificate: first, key } });
  await using device = await authority([renewed, first, narrow]);
  const { leaf } = await device.issue('sensor', await request());
  assert.ok(isIssuedBy(leaf, renewed));
});

test('issues nothing below a preloaded chain that is longer than its root allows', async () => {
  const narrow = await makeCa({ name: 'CN=narrow', key: rootKey, pathLength: 0 });
  const upper = { certificate: narrow, key: rootKey };
  const between = await makeCa({ name: 'CN=between', key: middleKey, by: upper });
  const lower = { certificate: between, key: middleKey };
  const last = await makeCa({ name: 'CN=last', key: caKey, by: lower });
  const directory = await mkdtemp(join(tmpdir(), 'iotedge-authority-'));
  try {
    const file = join(directory, 'chain.cer');
    await writeFile(file, encodeCertificatesPem([last, between, narrow]));
    await using rig = await Rig.start({ 'preloaded_cert:device-ca': file });
    rig.keys.add('device-ca', caKey);
    const csr = await request();
    const failure: unknown = await rig.service
      .issue(parseCertificateId('sensor'), csr, { via })
      .catch((error: unknown) => error);
    assert.ok(isServiceError(failure, 'InvalidArgs'));
    assert.match(failure.message, /the path length above CN=last is exceeded/);
  } finally {
    await rm(directory, { recursive: true });
  }
});

test('issues nothing before a CA above it is valid', async () => {
  const later = new Date(ca.notBefore.getTime() + 18_000_000);
  const upper = await makeCa({ name: 'CN=later', key: rootKey, now: later });
  const below = await makeCa({
    name: 'CN=ca',
    key: caKey,
    by: { certificate: upper, key: rootKey },
  });
  await using device = await authority([below, upper]);
  const csr = await request();
  assert.is(await failureOf(() => device.issue('sensor', csr)), 'Unavailable');
  device.rig.now = new Date(upper.notBefore.getTime() + 1000);
  const { leaf } = await device.issue('sensor', csr);
  assert.equal(leaf.notBefore, upper.notBefore);
});

test('issues below two CAs that signed each other', async () => {
  const first = await makeCa({ name: 'CN=one', key: caKey });
  const other = await makeCa({
    name: 'CN=other',
    key: middleKey,
    by: { certificate: first, key: caKey },
  });
  const by = { certificate: other, key: middleKey };
  const one = await makeCa({ name: 'CN=one', key: caKey, by });
  await using device = await authority([one, other]);
  const { leaf, above } = await device.issue('sensor', await request());
  assert.ok(above[0] !== undefined && isIssuedBy(leaf, above[0]));
  assert.is(above.length, 2);
});

test('does not issue with a damaged CA', async () => {
  await using device = await authority([ca]);
  await using other = await Rig.start({ 'preloaded_cert:device-ca': '/nowhere' });
  const csr = await request();
  assert.is(
    await failureOf(() => other.service.issue(parseCertificateId('sensor'), csr, { via })),
    'Unavailable',
  );
  await device.rig.service.delete(parseCertificateId('device-ca'));
  assert.is(await failureOf(() => device.issue('sensor', csr)), 'NotFound');
});

test.run();
