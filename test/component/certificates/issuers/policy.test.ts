/** The policy of an id: each setting and its limits individually. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  grant,
  type Policy,
  policies,
  policyFor,
  resolveIssuer,
  resolveProfile,
  ruleFor,
} from '../../../../src/certificates/issuers/policy.ts';
import { describeError } from '../../../../src/errors.ts';
import { localSigner, spkiOf } from '../../../../src/x509/algorithm.ts';
import { buildCsr, type CertificateRequest, parseCsr } from '../../../../src/x509/csr.ts';
import { decode } from '../../../../src/x509/der/asn1.ts';
import {
  basicConstraints,
  type Extension,
  extendedKeyUsage,
  keyUsage,
  subjectAlternativeName,
} from '../../../../src/x509/extensions.ts';
import { decodeName, formatName, parseName } from '../../../../src/x509/name.ts';
import {
  formatAlternativeName,
  parseAlternativeName,
} from '../../../../src/x509/subject-alternative-name.ts';
import { failureOf } from '../../../support/failure.ts';
import { makeKey } from '../../../support/x509/openssl.ts';
import { configOf } from '../rig.ts';

const test = suite('the policy for certificates');
const module = 'iotedge/module/web:server';
const day = 86_400;
const key = makeKey('ec-p256');

type Rules = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

function policyOf(certificates: Rules, id: string): Policy {
  return policyFor(configOf({ certificates }), id);
}

async function request(
  subject = '',
  extensions: readonly Extension[] = [],
): Promise<CertificateRequest> {
  const name = parseName(subject);
  return parseCsr(
    await buildCsr({ subject: name, spki: spkiOf(key), extensions, signer: localSigner(key) }),
  );
}

type Named = readonly ['dns' | 'ip' | 'uri' | 'email', string];

function named(...all: readonly Named[]): Extension {
  return subjectAlternativeName(all.map(([kind, text]) => parseAlternativeName(kind, text)));
}

test('parses a lifetime in seconds, minutes, hours and days', () => {
  for (const [lifetime, seconds] of [
    ['45s', 45],
    ['45min', 2700],
    ['45h', 162_000],
    ['45d', 3_888_000],
  ] as const) {
    const { lifetimeS, maxLifetimeS } = policyOf({ a: { lifetime } }, 'a');
    assert.equal([lifetimeS, maxLifetimeS], [seconds, seconds], lifetime);
  }
});

test('grants 30 days where no lifetime is configured, and modules up to a year on request', () => {
  const plain = policyOf({}, 'a');
  assert.equal([plain.lifetimeS, plain.maxLifetimeS], [30 * day, 30 * day]);
  const ofModule = policyOf({}, module);
  assert.equal([ofModule.lifetimeS, ofModule.maxLifetimeS], [30 * day, 365 * day]);
  const bounded = policyOf({ 'iotedge/module/*': { lifetime: '2h' } }, module);
  assert.equal([bounded.lifetimeS, bounded.maxLifetimeS], [7200, 7200]);
});

test('leaves the certificate that the provisioning service issues to the Identity service', () => {
  assert.is(policyOf({}, 'iotedge/device-identity').method, 'external');
  const rule = { method: 'local_ca' } as const;
  assert.is(
    policyOf({ 'iotedge/device-identity': rule }, 'iotedge/device-identity').method,
    'local_ca',
  );
});

test('needs no rule for the workload CA, which lives so long that leaves get their 30 days until it is renewed', () => {
  const id = 'iotedge/workload-ca';
  const { profiles, maxLifetimeS, names } = policyOf({}, id);
  assert.equal([profiles, maxLifetimeS, names], [['workload-ca'], 150 * day, []]);
  const bounded = policyOf({ 'iotedge/*': { lifetime: '9d' } }, id);
  assert.equal([bounded.profiles, bounded.maxLifetimeS], [['workload-ca'], 9 * day]);
  assert.equal(policyOf({}, `${id}@2`).profiles, ['client']);
});

test('grants a lifetime from one second to the longest allowed, and no other', async () => {
  const policy = policyOf({ a: { lifetime: '1h' } }, 'a');
  const csr = await request();
  const lifeOf = (lifetimeS: number | undefined) =>
    grant(policy, csr, { profile: 'client', lifetimeS }).lifetimeS;
  assert.equal([undefined, 1, 3599, 3600].map(lifeOf), [3600, 1, 3599, 3600]);
  for (const life of [0, 3601]) assert.is(await failureOf(() => lifeOf(life)), 'InvalidArgs');
});

test('uses the rule of the exact id, else the longest glob, else the first in alphabetical order', () => {
  const certificates: Rules = {
    'hub1?': { lifetime: '1h' },
    'hub*': { lifetime: '2h' },
    'hub?2': { lifetime: '3h' },
    '*': { lifetime: '4h' },
    hub: { lifetime: '5h' },
    'h*b*2': { lifetime: '6h' },
  };
  for (const rules of [
    certificates,
    Object.fromEntries(Object.entries(certificates).toReversed()),
  ]) {
    const lifetimeFor = (id: string) => ruleFor(configOf({ certificates: rules }), id).lifetime;
    assert.is(lifetimeFor('hub'), '5h');
    assert.is(lifetimeFor('hub11'), '1h');
    assert.is(lifetimeFor('hub12'), '6h', 'of two of the same length, * before 1');
    assert.is(lifetimeFor('hub02'), '6h');
    assert.is(lifetimeFor('hub-long'), '2h');
    assert.is(lifetimeFor('sensor'), '4h');
  }
});

test('uses a glob with the spelling of an id as that id only', () => {
  const certificates = { 'a*': { lifetime: '1h' }, a: { lifetime: '2h' } };
  assert.is(ruleFor(configOf({ certificates }), 'a').lifetime, '2h');
  assert.is(ruleFor(configOf({ certificates: {} }), 'constructor').lifetime, undefined);
});

test('has defaults for the settings that a rule omits', () => {
  const plain = policyOf({}, 'a');
  assert.is(plain.ruleName, undefined);
  assert.is(plain.method, 'local_ca');
  assert.is(plain.issuer, undefined);
  assert.equal(plain.profiles, ['client']);
  assert.is(formatName(plain.subject ?? []), 'CN=a');
  assert.equal(plain.names, []);
  assert.is(plain.keyAlgorithms, undefined);
  const rule = {
    method: 'none',
    issuer: 'other-ca',
    profiles: ['server', 'device-ca'],
    subject: 'CN=x,O=y',
    dns: ['D.local'],
    ip: ['::1'],
    uri: ['urn:x'],
    key_algorithms: ['ec-p384'],
  };
  const explicit = policyOf({ 'a*': rule }, 'abc');
  assert.is(explicit.ruleName, 'a*');
  assert.is(explicit.method, 'none');
  assert.is(explicit.issuer, 'other-ca');
  assert.equal(explicit.profiles, ['server', 'device-ca']);
  assert.is(formatName(explicit.subject ?? []), 'CN=x,O=y');
  assert.equal(explicit.names?.map(formatAlternativeName), ['dns:d.local', 'ip:::1', 'uri:urn:x']);
  assert.equal(explicit.keyAlgorithms, ['ec-p384']);
});

test('issues only leaves to a module, whatever the configuration, and limits the rest', () => {
  const rule = {
    method: 'none',
    issuer: 'other-ca',
    profiles: ['workload-ca'],
    subject: 'CN=x',
    dns: ['x'],
    key_algorithms: ['ed25519'],
  };
  const policy = policyOf({ 'iotedge/*': rule }, module);
  assert.equal(policy.profiles, ['client', 'server']);
  assert.is(policy.subject, undefined);
  assert.is(policy.names, undefined);
  assert.equal(
    [policy.method, policy.issuer, policy.keyAlgorithms],
    ['none', 'other-ca', ['ed25519']],
  );
  // a reserved id of the services that is not one of a module
  assert.equal(policyOf({ 'iotedge/*': rule }, 'iotedge/x').profiles, ['workload-ca']);
});

test('uses an id as the common name up to 64 characters', async () => {
  const longest = 'x'.repeat(64);
  assert.is(formatName(policyOf({}, longest).subject ?? []), `CN=${longest}`);
  assert.is(await failureOf(() => policyOf({}, `${longest}x`)), 'InvalidArgs');
  assert.throws(() => policyOf({}, `${longest}x`), /is too long for its common name/);
  const rules = { 'x*': { subject: 'CN=short' } };
  assert.is(formatName(policyOf(rules, `${longest}x`).subject ?? []), 'CN=short');
});

test('uses the requested profile when it is allowed, else the first', async () => {
  const policy = policyOf({ a: { profiles: ['server', 'client'] } }, 'a');
  assert.is(resolveProfile(policy, undefined), 'server');
  assert.is(resolveProfile(policy, 'client'), 'client');
  for (const requested of ['device-ca', 'workload-ca', 'device-identity', 'x', '']) {
    assert.is(await failureOf(() => resolveProfile(policy, requested)), 'InvalidArgs', requested);
  }
  assert.is(resolveProfile(policyOf({}, module), undefined), 'client');
});

test('uses the requested issuer unless another one is configured, else device-ca', async () => {
  const free = policyOf({}, 'a');
  assert.is(resolveIssuer(free, undefined), 'device-ca');
  assert.is(resolveIssuer(free, 'x'), 'x');
  const bound = policyOf({ a: { issuer: 'y' } }, 'a');
  assert.is(resolveIssuer(bound, undefined), 'y');
  assert.is(resolveIssuer(bound, 'y'), 'y');
  assert.is(await failureOf(() => resolveIssuer(bound, 'device-ca')), 'InvalidArgs');
});

test('grants the key usages and purposes of the profile and no other', async () => {
  const rules = { a: { profiles: ['client', 'server', 'device-ca', 'workload-ca'] } };
  const policy = policyOf(rules, 'a');
  const codeFor = async (
    profile: 'client' | 'server' | 'device-ca' | 'workload-ca',
    ...wanted: readonly Extension[]
  ) => {
    const csr = await request('', wanted);
    return failureOf(() => grant(policy, csr, { profile, lifetimeS: undefined }));
  };
  for (const profile of ['client', 'server'] as const) {
    assert.is(await codeFor(profile, keyUsage(['digitalSignature'])), 'no failure');
    // a key on a curve cannot decipher
    for (const usage of ['keyEncipherment', 'keyAgreement', 'keyCertSign', 'cRLSign'] as const) {
      const both = keyUsage(['digitalSignature', usage]);
      assert.is(await codeFor(profile, both), 'InvalidArgs', `${profile} ${usage}`);
    }
    assert.is(await codeFor(profile, basicConstraints({ ca: false })), 'no failure');
    assert.is(await codeFor(profile, basicConstraints({ ca: true })), 'InvalidArgs');
  }
  // a path length without CA
  const odd = { oid: '2.5.29.19', critical: true, value: Buffer.from('3003020101', 'hex') };
  assert.is(await codeFor('client', odd), 'InvalidArgs');
  const [own, other] = [extendedKeyUsage(['clientAuth']), extendedKeyUsage(['serverAuth'])];
  assert.is(await codeFor('client', own), 'no failure');
  assert.is(await codeFor('client', other), 'InvalidArgs');
  assert.is(await codeFor('server', other), 'no failure');
  assert.is(await codeFor('server', extendedKeyUsage(['serverAuth', '1.2.3'])), 'InvalidArgs');
  assert.is(await codeFor('device-ca', keyUsage(['keyCertSign', 'cRLSign'])), 'no failure');
  assert.is(await codeFor('device-ca', keyUsage(['digitalSignature'])), 'InvalidArgs');
  assert.is(await codeFor('device-ca', own), 'InvalidArgs');
  for (const [profile, pathLength, code] of [
    ['device-ca', 1, 'no failure'],
    ['device-ca', 2, 'InvalidArgs'],
    ['workload-ca', 0, 'no failure'],
    ['workload-ca', 1, 'InvalidArgs'],
  ] as const) {
    const wanted = basicConstraints({ ca: true, pathLength });
    assert.is(await codeFor(profile, wanted), code, `${profile} ${pathLength}`);
  }
});

test('accepts a key of the allowed kinds', async () => {
  const csr = await request();
  const codeFor = (key_algorithms: readonly string[]) =>
    failureOf(() => {
      const policy = policyOf({ a: { key_algorithms } }, 'a');
      grant(policy, csr, { profile: 'client', lifetimeS: undefined });
    });
  assert.is(await codeFor(['ec-p384', 'ec-p256']), 'no failure');
  assert.is(await codeFor(['ec-p384', 'rsa-2048']), 'InvalidArgs');
});

test('uses the configured subject, however the request spells it', async () => {
  const policy = policyOf({ a: { subject: 'CN=hub+serialNumber=1,O=x' } }, 'a');
  const csr = await request('serialNumber=1+CN=hub,O=x');
  const otherwise = { ...csr, subjectDer: Buffer.from('in other string types') };
  const { subjectDer } = grant(policy, otherwise, { profile: 'client', lifetimeS: undefined });
  const empty = grant(policy, await request(), { profile: 'client', lifetimeS: undefined });
  assert.equal(empty.subjectDer, subjectDer);
  const written = decodeName(decode(subjectDer, 'it'));
  assert.is(formatName(written), 'serialNumber=1+CN=hub,O=x');
});

test('issues the requested subject to a module, and an empty one only with another name', async () => {
  const policy = policyOf({}, module);
  const granted = { profile: 'server', lifetimeS: undefined } as const;
  const csr = await request('CN=web,O=any');
  assert.equal(grant(policy, csr, granted).subjectDer, csr.subjectDer);
  const onlyName = await request('', [named(['dns', 'web'])]);
  assert.equal(grant(policy, onlyName, granted).subjectDer, Buffer.from([0x30, 0]));
  const nothing = await request();
  assert.is(await failureOf(() => grant(policy, nothing, granted)), 'InvalidArgs');
});

test('issues all configured names, or the requested ones among them', async () => {
  const policy = policyOf({ a: { dns: ['x', '*.y'], ip: ['10.0.0.1'], uri: ['urn:z'] } }, 'a');
  const namesFor = async (...extensions: readonly Extension[]) => {
    const csr = await request('', extensions);
    const { names } = grant(policy, csr, { profile: 'client', lifetimeS: undefined });
    return names.map(formatAlternativeName);
  };
  assert.equal(await namesFor(), ['dns:x', 'dns:*.y', 'ip:10.0.0.1', 'uri:urn:z']);
  const some = named(['uri', 'urn:z'], ['dns', '*.Y']);
  assert.equal(await namesFor(some), ['uri:urn:z', 'dns:*.y']);
  for (const other of [
    named(['dns', 'x'], ['dns', 'y']),
    named(['dns', 'a.y']),
    named(['ip', '10.0.0.2']),
    named(['uri', 'urn:Z']),
    named(['email', 'x@y']),
  ]) {
    assert.is(await failureOf(() => namesFor(other)), 'InvalidArgs');
  }
  const email = await namesFor(named(['email', 'x@y'])).catch(describeError);
  assert.match(String(email), 'none that email addresses can have', 'no setting would allow it');
});

test('issues host names, addresses and the cloud names of modules to a module', async () => {
  const policy = policyOf({}, module);
  const namesFor = async (...all: readonly Named[]) => {
    const csr = await request('CN=web', [named(...all)]);
    const { names } = grant(policy, csr, { profile: 'server', lifetimeS: undefined });
    return names.map(formatAlternativeName);
  };
  const good = [
    ['dns', 'web'],
    ['ip', '10.0.0.1'],
    ['ip', '::1'],
    ['uri', 'azureiot://x'],
  ] as const;
  assert.equal(await namesFor(...good), ['dns:web', 'ip:10.0.0.1', 'ip:::1', 'uri:azureiot://x']);
  for (const other of [
    ['dns', '*.web'],
    ['uri', 'https://x'],
    ['email', 'x@y'],
  ] as const) {
    assert.is(await failureOf(() => namesFor(['dns', 'web'], other)), 'InvalidArgs', other[1]);
  }
});

test('refuses an unknown extension, critical or not', async () => {
  const policy = policyOf({}, 'a');
  for (const critical of [true, false]) {
    const odd = { oid: '2.5.29.30', critical, value: Buffer.from([5, 0]) };
    const csr = await request('', [odd]);
    const code = failureOf(() => grant(policy, csr, { profile: 'client', lifetimeS: undefined }));
    assert.is(await code, 'InvalidArgs');
  }
});

test('is kept for an id until another one is asked for', () => {
  const rules = { web: { issuer: 'other-ca' }, db: { issuer: 'device-ca' } };
  const of = policies(configOf({ certificates: rules }));
  assert.is(of('web').issuer, 'other-ca');
  assert.is(of('web'), of('web'));
  assert.is(of('db').issuer, 'device-ca');
  assert.is(of('web').issuer, 'other-ca');
});

test.run();
