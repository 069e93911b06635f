import type { KeyObject } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { IssueOptions } from '../../../src/certificates/service.ts';
import { isServiceError } from '../../../src/errors.ts';
import { parseCertificateId } from '../../../src/ids.ts';
import { localSigner, spkiOf } from '../../../src/x509/algorithm.ts';
import {
  type Certificate,
  encodeCertificatesPem,
  parseCertificatesPem,
} from '../../../src/x509/certificate.ts';
import { buildCsr } from '../../../src/x509/csr.ts';
import {
  basicConstraints,
  type Extension,
  extendedKeyUsage,
  keyUsage,
  subjectAlternativeName,
} from '../../../src/x509/extensions.ts';
import { parseName } from '../../../src/x509/name.ts';
import { parseAlternativeName } from '../../../src/x509/subject-alternative-name.ts';
import { failureOf, messageOf } from '../../support/failure.ts';
import { via } from '../../support/via.ts';
import { keyKinds, makeCa, makeKey, openssl, Workspace } from '../../support/x509/openssl.ts';
import { Rig } from './rig.ts';

const test = suite('issuing from a local CA');
const module = 'iotedge/module/web:server';

interface Ready extends AsyncDisposable {
  readonly root: Certificate;
  issue(id: string, request: Buffer, options?: IssueOptions): Promise<readonly Certificate[]>;
}

async function ready({
  kind = 'ec-p256',
  pathLength,
  settings = {},
}: {
  readonly kind?: (typeof keyKinds)[number];
  readonly pathLength?: number;
  readonly settings?: Readonly<Record<string, unknown>>;
} = {}): Promise<Ready> {
  const [rootKey, key] = [makeKey('ec-p256'), makeKey(kind)];
  const root = await makeCa({ name: 'CN=root', key: rootKey });
  const ca = await makeCa({
    name: 'CN=device ca',
    key,
    by: { certificate: root, key: rootKey },
    ...(pathLength !== undefined && { pathLength }),
  });
  const rig = await Rig.start(settings);
  rig.keys.add('device-ca', key);
  const data = Buffer.from(encodeCertificatesPem([ca, root]));
  await rig.service.import('device-ca', { data, format: 'pem' }, {});
  return {
    root,
    async issue(id, request, options = {}) {
      const pem = await rig.service.issue(parseCertificateId(id), request, { ...options, via });
      return parseCertificatesPem(Buffer.from(pem), 'chain');
    },
    [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose](),
  };
}

function csr(
  subject: string,
  extensions: readonly Extension[] = [],
  key: KeyObject = makeKey('ec-p256'),
): Promise<Buffer> {
  return buildCsr({
    subject: parseName(subject),
    spki: spkiOf(key),
    extensions,
    signer: localSigner(key),
  });
}

function dns(...names: readonly string[]): Extension {
  return subjectAlternativeName(names.map((name) => parseAlternativeName('dns', name)));
}

for (const kind of keyKinds) {
  test(`issues a server certificate from a ${kind} CA that openssl verifies`, async () => {
    using files = new Workspace();
    await using device = await ready({ kind });
    const request = await csr('CN=web', [dns('web', 'web.local')]);
    const chain = await device.issue(module, request, { profile: 'server' });
    assert.equal(
      chain.map(({ subjectText }) => subjectText),
      ['CN=web', 'CN=device ca'],
    );
    const root = files.write('root.pem', encodeCertificatesPem([device.root]));
    const all = files.write('chain.pem', encodeCertificatesPem(chain));
    const purpose = ['-x509_strict', '-purpose', 'sslserver', '-verify_hostname', 'web.local'];
    assert.match(openssl('verify', ...purpose, '-CAfile', root, '-untrusted', all, all), ': OK');
  });
}

test('issues a client certificate in its own name for an id without configuration', async () => {
  await using device = await ready();
  const [leaf] = await device.issue('sensor', await csr('', []));
  assert.is(leaf?.subjectText, 'CN=sensor');
  assert.equal(leaf?.extendedKeyUsage, ['clientAuth']);
  assert.equal(leaf?.keyUsage, ['digitalSignature']);
  assert.is(leaf?.basicConstraints.ca, false);
  const issuer = device.root; // as long-lived as the CA
  assert.equal(leaf?.notAfter, issuer.notAfter);
});

test('issues the configured names, and of those the requested ones', async () => {
  const rule = { profiles: ['server'], subject: 'CN=hub,O=Contoso', dns: ['hub', 'hub.local'] };
  await using device = await ready({ settings: { certificates: { 'hub*': rule } } });
  const [all] = await device.issue('hub1', await csr(''));
  assert.is(all?.subjectText, 'CN=hub,O=Contoso');
  assert.equal(all?.alternativeNames, ['dns:hub', 'dns:hub.local']);
  const [one] = await device.issue('hub1', await csr('CN=hub,O=Contoso', [dns('HUB.local')]));
  assert.equal(one?.alternativeNames, ['dns:hub.local']);
});

test('refuses a request for more than the configuration allows', async () => {
  await using device = await ready();
  const wishes: readonly (readonly [string, Buffer, IssueOptions?])[] = [
    ['subject', await csr('CN=other')],
    ['name', await csr('', [dns('sensor')])],
    ['ca', await csr('', [basicConstraints({ ca: true })])],
    ['usage', await csr('', [keyUsage(['keyCertSign'])])],
    ['purpose', await csr('', [extendedKeyUsage(['serverAuth'])])],
    ['unknown', await csr('', [{ oid: '2.5.29.30', critical: true, value: Buffer.from([5, 0]) }])],
    ['profile', await csr(''), { profile: 'server' }],
    ['ca profile', await csr(''), { profile: 'device-ca' }],
    ['no profile', await csr(''), { profile: 'x' }],
    ['life', await csr(''), { lifetime_s: 31 * 86_400 }],
    ['no life', await csr(''), { lifetime_s: 0 }],
  ];
  for (const [what, request, options] of wishes) {
    assert.is(await failureOf(() => device.issue('sensor', request, options)), 'InvalidArgs', what);
  }
});

test('names the file and the setting that refuse a request, or would allow it', async () => {
  const certificates = {
    'strict*': {
      dns: ['a.local'],
      key_algorithms: ['ec-p384'],
      issuer: 'device-ca',
      lifetime: '1h',
    },
  };
  await using device = await ready({ settings: { certificates } });
  const key = makeKey('ec-p384');
  const ip = subjectAlternativeName([parseAlternativeName('ip', '10.0.0.1')]);
  const wishes: readonly (readonly [string, string, Buffer, IssueOptions?])[] = [
    ['strict1', 'certificates: "strict*": dns', await csr('', [dns('b.local')], key)],
    ['strict1', 'certificates: "strict*": ip', await csr('', [ip], key)],
    ['strict1', 'certificates: "strict*": subject', await csr('CN=other', [], key)],
    ['strict1', 'certificates: "strict*": key_algorithms', await csr('')],
    ['strict1', 'certificates: "strict*": issuer', await csr('', [], key), { issuer: 'x' }],
    ['strict1', 'certificates: "strict*": lifetime', await csr('', [], key), { lifetime_s: 7200 }],
    ['strict1', 'certificates: "strict*": profiles', await csr('', [], key), { profile: 'server' }],
    ['free', 'has no rule for it; `certificates: "free": dns`', await csr('', [dns('b.local')])],
    ['free', 'certificates: "free": profiles', await csr('', [basicConstraints({ ca: true })])],
  ];
  for (const [id, setting, request, options] of wishes) {
    const failure: unknown = await device.issue(id, request, options).catch((e: unknown) => e);
    assert.ok(isServiceError(failure, 'InvalidArgs'), setting);
    assert.ok(failure.message.includes('certificates.yaml'), failure.message);
    assert.ok(failure.message.includes(setting), failure.message);
  }
  const long = 'x'.repeat(65);
  const failure: unknown = await device.issue(long, await csr('')).catch((e: unknown) => e);
  assert.ok(isServiceError(failure, 'InvalidArgs'));
  assert.ok(failure.message.includes(`certificates: "${long}": subject`));
});

test('accepts the parts of a subject in any order, and a host name with a trailing dot', async () => {
  const rule = { subject: 'CN=hub+serialNumber=42,O=Contoso', dns: ['Hub.Local.'] };
  await using device = await ready({ settings: { certificates: { hub: rule } } });
  const request = await csr('serialNumber=42+CN=hub,O=Contoso', [dns('hub.local')]);
  const [leaf] = await device.issue('hub', request);
  assert.equal(leaf?.alternativeNames, ['dns:hub.local']);
  const other = csr('CN=hub,serialNumber=42,O=Contoso');
  assert.is(await failureOf(async () => device.issue('hub', await other)), 'InvalidArgs');
});

test('enforces the key policy, the issuer and the method of the configuration', async () => {
  const certificates = {
    strict: { key_algorithms: ['ec-p384'], issuer: 'device-ca' },
    off: { method: 'none' },
    'of*': {},
  };
  await using device = await ready({ settings: { certificates } });
  assert.is(await failureOf(async () => device.issue('strict', await csr(''))), 'InvalidArgs');
  const good = await csr('', [], makeKey('ec-p384'));
  assert.is((await device.issue('strict', good)).length, 2);
  const elsewhere = { issuer: 'other-ca' };
  assert.is(await failureOf(() => device.issue('strict', good, elsewhere)), 'InvalidArgs');
  assert.is(await failureOf(() => device.issue('off', good)), 'NotSupported');
  assert.is(await failureOf(() => device.issue('free', good, elsewhere)), 'NotFound');
});

test('issues any DNS names and addresses to modules, but never a CA certificate', async () => {
  const certificates = { 'iotedge/*': { profiles: ['device-ca'], subject: 'CN=x' } };
  await using device = await ready({ settings: { certificates } });
  const names = subjectAlternativeName([
    parseAlternativeName('dns', 'anything.example'),
    parseAlternativeName('ip', '10.1.2.3'),
    parseAlternativeName('uri', 'azureiot://hub/devices/d/modules/m'),
  ]);
  const [leaf] = await device.issue(module, await csr('CN=m', [names]), { profile: 'server' });
  assert.equal(leaf?.alternativeNames, [
    'dns:anything.example',
    'ip:10.1.2.3',
    'uri:azureiot://hub/devices/d/modules/m',
  ]);
  const uri = subjectAlternativeName([parseAlternativeName('uri', 'urn:x')]);
  const refused: readonly (readonly [Buffer, IssueOptions])[] = [
    [await csr('CN=m', [uri]), { profile: 'server' }],
    [await csr('CN=m', [dns('*.example')]), { profile: 'server' }],
    [await csr('CN=m', [basicConstraints({ ca: true })]), { profile: 'server' }],
    [await csr('CN=m'), { profile: 'device-ca' }],
    [await csr(''), { profile: 'client' }],
  ];
  for (const [request, options] of refused) {
    assert.is(await failureOf(() => device.issue(module, request, options)), 'InvalidArgs');
  }
});

test('issues CA certificates only within the path length of the issuer', async () => {
  const settings = { certificates: { ca: { profiles: ['device-ca', 'workload-ca'] } } };
  await using free = await ready({ settings });
  const [deviceCa] = await free.issue('ca', await csr(''));
  assert.equal(deviceCa?.basicConstraints, { ca: true, pathLength: 1 });
  assert.equal(deviceCa?.keyUsage, ['keyCertSign', 'cRLSign']);
  await using narrow = await ready({ settings, pathLength: 1 });
  const [lower] = await narrow.issue('ca', await csr(''));
  assert.equal(lower?.basicConstraints, { ca: true, pathLength: 0 });
  await using none = await ready({ settings, pathLength: 0 });
  const workload = { profile: 'workload-ca' };
  assert.is(await failureOf(async () => none.issue('ca', await csr(''), workload)), 'InvalidArgs');
  assert.is((await none.issue('sensor', await csr(''))).length, 2);
});

/** A device CA below a root, one of them restricted. */
async function restricted(upper: object, lower: object): Promise<Rig> {
  const [rootKey, key] = [makeKey('ec-p256'), makeKey('ec-p256')];
  const root = await makeCa({ name: 'CN=root', key: rootKey, ...upper });
  const by = { certificate: root, key: rootKey };
  const ca = await makeCa({ name: 'CN=device ca', key, by, ...lower });
  const rig = await Rig.start({
    certificates: { ca: { profiles: ['workload-ca'] }, web: { profiles: ['server', 'client'] } },
  });
  rig.keys.add('device-ca', key);
  const data = Buffer.from(encodeCertificatesPem([ca, root]));
  await rig.service.import('device-ca', { data, format: 'pem' }, { keyId: 'device-ca' });
  return rig;
}

test('enforces the path length of every CA above for CA certificates', async () => {
  await using rig = await restricted({ pathLength: 1 }, {});
  const request = await csr('');
  assert.is(
    await failureOf(() => rig.service.issue(parseCertificateId('ca'), request, { via })),
    'InvalidArgs',
  );
  await rig.service.issue(parseCertificateId('web'), request, { via });
  await using wider = await restricted({ pathLength: 2 }, {});
  const pem = await wider.service.issue(parseCertificateId('ca'), request, { via });
  const [lower] = parseCertificatesPem(Buffer.from(pem), 'chain');
  assert.equal(lower?.basicConstraints, { ca: true, pathLength: 0 });
});

test('restricts purposes to those of every CA above', async () => {
  const request = await csr('');
  for (const [upper, lower] of [
    [{ purposes: ['clientAuth'] }, {}],
    [{}, { purposes: ['clientAuth'] }],
  ] as const) {
    await using rig = await restricted(upper, lower);
    const issue = (profile: string) =>
      rig.service.issue(parseCertificateId('web'), request, { profile, via });
    assert.is(await failureOf(() => issue('server')), 'InvalidArgs');
    await issue('client');
  }
  await using any = await restricted({ purposes: ['2.5.29.37.0'] }, {});
  await any.service.issue(parseCertificateId('web'), request, { via });
});

test('issues nothing that outlives a CA above', async () => {
  const now = new Date(Date.now() - 20 * 3_600_000);
  await using rig = await restricted({ now }, {});
  const request = await csr('');
  const pem = await rig.service.issue(parseCertificateId('web'), request, { via });
  const chain = parseCertificatesPem(Buffer.from(pem), 'chain');
  const [root] = parseCertificatesPem(
    await rig.service.export(parseCertificateId('device-ca'), 'pem'),
    'device-ca',
  ).slice(-1);
  assert.equal(chain[0]?.notAfter, root?.notAfter);
  assert.ok(chain[1] !== undefined && root !== undefined && chain[1].notAfter > root.notAfter);
  rig.now = new Date(root.notAfter.getTime() + 1000);
  assert.is(
    await failureOf(() => rig.service.issue(parseCertificateId('web'), request, { via })),
    'Unavailable',
  );
});

test('does not issue with a leaf, without a key, or after the end of the issuer', async () => {
  await using rig = await Rig.start();
  const key = makeKey('ec-p256');
  const ca = await makeCa({ name: 'CN=ca', key });
  await rig.service.import('device-ca', { data: ca.der, format: 'der' }, {});
  const request = await csr('');
  const issue = (options: IssueOptions = {}) =>
    failureOf(() => rig.service.issue(parseCertificateId('x'), request, { ...options, via }));
  assert.is(await issue(), 'NotFound');
  rig.keys.add('k', key);
  const pem = await rig.service.issue(parseCertificateId('leaf'), request, { via });
  await rig.service.import('leaf', { data: Buffer.from(pem), format: 'pem' }, { keyId: 'x' });
  assert.is(await issue({ issuer: 'leaf' }), 'InvalidArgs');
  rig.now = new Date(ca.notAfter.getTime() + 1000);
  assert.is(await issue(), 'Unavailable');
});

test('does not issue with a reserved key of the services under an id that is not reserved', async () => {
  const key = makeKey('ec-p256');
  const ca = await makeCa({ name: 'CN=workload ca', key });
  const certificates = { '*': { profiles: ['client'], subject: 'CN=x' } };
  await using rig = await Rig.start({ certificates });
  rig.keys.add('iotedge/workload-ca', key);
  const options = { via };
  for (const id of ['web-ca', 'iotedge/workload-ca']) {
    await rig.service.import(id, { data: ca.der, format: 'der' }, {});
  }
  const issue = (issuer: string) =>
    failureOf(async () =>
      rig.service.issue(parseCertificateId('web-1'), await csr('CN=x'), { ...options, issuer }),
    );
  assert.is(await issue('web-ca'), 'AccessDenied');
  assert.is(await issue('iotedge/workload-ca'), 'no failure');
});

test('names the missing rule where the CA does not exist that would issue without one', async () => {
  await using rig = await Rig.start({ certificates: { 'ruled/*': { issuer: 'device-ca' } } });
  const reasonFor = async (id: string, subject = '') =>
    messageOf(rig.service.issue(parseCertificateId(id), await csr(subject), { via }));
  const plain = 'NotFound: no certificate "device-ca"';
  const why = 'certificates.yaml has no rule for "web", so that the CA "device-ca" of this device';
  const advice = 'add `certificates: "web"` with its method and issuer';
  assert.is(await reasonFor('web'), `${plain}: ${why} would issue it: ${advice}`);
  assert.is(await reasonFor('ruled/web'), plain);
  assert.is(await reasonFor('iotedge/module/a/server', 'CN=a'), plain);
});

test.run();
