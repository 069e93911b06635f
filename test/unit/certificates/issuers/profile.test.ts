import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { profiles } from '../../../../src/certificates/config/certificate-rule.ts';
import {
  extensionsOf,
  isCaProfile,
  rightsOf,
} from '../../../../src/certificates/issuers/profile.ts';
import { extensionOids } from '../../../../src/x509/extensions.ts';

const test = suite('profiles of certificates');

const leaf = { pathLength: undefined, keyUsage: ['digitalSignature'] };
const ca = { keyUsage: ['keyCertSign', 'cRLSign'], extendedKeyUsage: [] };

test('define what a certificate may be used for, and the path length below it', () => {
  assert.equal(
    profiles.map((profile) => [profile, rightsOf(profile, 'ec-p256')]),
    [
      ['device-identity', { ...leaf, extendedKeyUsage: ['clientAuth'] }],
      ['device-ca', { ...ca, pathLength: 1 }],
      ['workload-ca', { ...ca, pathLength: 0 }],
      ['server', { ...leaf, extendedKeyUsage: ['serverAuth'] }],
      ['client', { ...leaf, extendedKeyUsage: ['clientAuth'] }],
    ],
  );
  assert.equal(profiles.filter(isCaProfile), ['device-ca', 'workload-ca']);
});

test('allow key encipherment for the RSA keys of servers only', () => {
  for (const profile of profiles) {
    for (const key of ['rsa-2048', 'rsa-3072', 'rsa-4096'] as const) {
      const has = rightsOf(profile, key).keyUsage.includes('keyEncipherment');
      assert.is(has, profile === 'server', `${profile} ${key}`);
    }
    for (const key of ['ec-p256', 'ec-p384', 'ec-p521', 'ed25519'] as const) {
      assert.equal(rightsOf(profile, key), rightsOf(profile, 'ec-p256'));
    }
  }
  assert.equal(rightsOf('server', 'rsa-2048').keyUsage, ['digitalSignature', 'keyEncipherment']);
});

/** The extensions of a certificate, in hexadecimal. */
function written(profile: (typeof profiles)[number], room: number): readonly unknown[] {
  return extensionsOf(rightsOf(profile, 'ec-p256'), room).map(({ oid, critical, value }) => [
    oid,
    critical,
    value.toString('hex'),
  ]);
}

test('are encoded as basic constraints, key usage and extended key usage, the first two critical', () => {
  const { basicConstraints, keyUsage, extendedKeyUsage } = extensionOids;
  const room = Number.POSITIVE_INFINITY;
  assert.equal(written('server', room), [
    [basicConstraints, true, '3000'],
    [keyUsage, true, '03020780'],
    [extendedKeyUsage, false, '300a06082b06010505070301'],
  ]);
  assert.equal(written('client', room), [
    [basicConstraints, true, '3000'],
    [keyUsage, true, '03020780'],
    [extendedKeyUsage, false, '300a06082b06010505070302'],
  ]);
  assert.equal(written('device-ca', room), [
    [basicConstraints, true, '30060101ff020101'],
    [keyUsage, true, '03020106'],
  ]);
});

test('never allow a longer path below than the issuer has left', () => {
  const lengthBelow = (profile: 'device-ca' | 'workload-ca', room: number) =>
    String(written(profile, room)[0]).slice(-2);
  assert.is(lengthBelow('device-ca', 1), '00');
  assert.is(lengthBelow('device-ca', 2), '01');
  assert.is(lengthBelow('device-ca', 9), '01');
  assert.is(lengthBelow('workload-ca', 1), '00');
  assert.is(lengthBelow('workload-ca', 9), '00');
});

test.run();
