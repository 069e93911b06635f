/** A certificate whose first issued certificate is not valid yet: it waits for its time, without another order. */
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Storage } from '../../../src/certificates/storage.ts';
import { describeError } from '../../../src/errors.ts';
import { parseCertificateId } from '../../../src/ids.ts';
import { makeCa, makeKey } from '../../support/x509/openssl.ts';
import { Rig } from './rig.ts';

const test = suite('a certificate that is issued and not valid yet');
const id = parseCertificateId('x');
const reason = 'the clock is behind';

/** A service on a record with nothing but an issued certificate that becomes current later. */
async function waiting(): Promise<Rig> {
  const first = await Rig.start();
  const chain = [await makeCa({ name: 'CN=x', key: makeKey('ed25519') })];
  const issuance = { method: 'self_signed', issuer: '', profile: 'client' } as const;
  const successor = { ...issuance, chain, keyId: 'k', wasCurrent: false };
  const rest = { order: undefined, previous: [], ownKeys: ['k'], isDeleted: false };
  const enrolment = { ...issuance, since: 0, successor, ...rest };
  const storage = await Storage.open(join(first.directory, 'certificates'));
  const entry = { id, chain: [], keyId: '', preloaded: false, enrolment };
  await storage.put(entry, { replaces: false });
  const rig = await Rig.start({}, first.directory);
  rig.waitReason = () => reason;
  return rig;
}

test('is enrolled until it has expired, so that Enroll orders no other one', async () => {
  await using rig = await waiting();
  assert.ok(rig.service.isEnrolled(id, { issuer: '' }));
  assert.not(rig.service.isEnrolled(id, { issuer: 'another' }));
  rig.now = new Date('2100-01-01T00:00:00Z');
  assert.not(rig.service.isEnrolled(id, { issuer: '' }));
});

test('is Unavailable with the reason', async () => {
  await using rig = await waiting();
  const text = await rig.service.get(id).then(() => '', describeError);
  assert.match(text, `the certificate "x" is not issued yet: ${reason}`);
});

test.run();
