/** When Enroll has nothing to do. */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Enrolment, Successor } from '../../../../src/certificates/renewal/enrolment.ts';
import { Storage } from '../../../../src/certificates/storage.ts';
import { parseCertificateId } from '../../../../src/ids.ts';
import { makeCa, makeKey } from '../../../support/x509/openssl.ts';
import { Rig } from '../rig.ts';

const test = suite('enrolled certificates');
const id = parseCertificateId('x');
const day = 86_400_000;
const now = Date.now();
const key = makeKey('ed25519');
// each lives for a day
const [over, present, next] = [
  await makeCa({ name: 'CN=x', key, now: new Date(now - 3 * day) }),
  await makeCa({ name: 'CN=x', key, now: new Date(now) }),
  await makeCa({ name: 'CN=x', key, now: new Date(now + 2 * day) }),
];
const issuance = { method: 'local_ca', profile: 'client', issuer: 'one' } as const;
const successor: Successor = { ...issuance, chain: [next], keyId: 'k', wasCurrent: false };

test('are those that are valid, or will be, by the issuer and the key that are asked for', async () => {
  for (const [expected, chain, change, args = { issuer: '' }] of [
    [true, [present], {}],
    [true, [present], {}, { issuer: 'one' }],
    [false, [present], {}, { issuer: 'two' }],
    [true, [present], {}, { issuer: '', rotateKey: false }],
    [false, [present], {}, { issuer: '', rotateKey: true }],
    [false, [over], {}],
    [false, [present], { method: 'none' }],
    [false, [], {}],
    [true, [], { successor }],
    [true, [over], { successor }],
    [true, [over], { method: 'none', successor }],
    [false, [over], { successor }, { issuer: 'two' }],
    [true, [over], { successor: { ...successor, issuer: 'two' } }, { issuer: 'two' }],
    [false, [over], { successor: { ...successor, wasCurrent: true } }],
    [true, [present], { successor: { ...successor, wasCurrent: true } }],
    [false, [], { successor: { ...successor, chain: [over] } }],
  ] as const) {
    const directory = await mkdtemp(join(tmpdir(), 'iotedge-enrolled-'));
    const nothing = { order: undefined, previous: [], ownKeys: [], isDeleted: false };
    const enrolment: Enrolment = {
      ...issuance,
      since: 0,
      successor: undefined,
      ...nothing,
      ...change,
    };
    const storage = await Storage.open(join(directory, 'certificates'));
    await storage.put({ id, chain, keyId: 'k', preloaded: false, enrolment }, { replaces: false });
    await using rig = await Rig.start({}, directory);
    const text = JSON.stringify([chain.length, Object.keys(change), args]);
    assert.is(rig.service.isEnrolled(id, args), expected, text);
  }
});

test.run();
