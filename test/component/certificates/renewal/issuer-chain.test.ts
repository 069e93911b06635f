/** Orders that a CA of this device has refused, when its certificate is replaced. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { CertificateEntry } from '../../../../src/certificates/certificate-entry.ts';
import { IssuerChains } from '../../../../src/certificates/issuers/issuer-chains.ts';
import type { Enrolment } from '../../../../src/certificates/renewal/enrolment.ts';
import { Storage } from '../../../../src/certificates/storage.ts';
import { parseCertificateId } from '../../../../src/ids.ts';
import { makeCa, makeKey } from '../../../support/x509/openssl.ts';

const test = suite('the chain of an issuer');
const key = makeKey('ed25519');
const [first, second] = [
  await makeCa({ name: 'CN=ca', key }),
  await makeCa({ name: 'CN=ca', key }),
];

test('has a digest that changes with any of its certificates, for CAs of this device', () => {
  const chains = new IssuerChains();
  const ca = { method: 'local_ca', issuer: 'ca' } as const;
  assert.is(chains.digestOf(ca), '');
  const chain = [first, second];
  assert.is(chains.note('ca', chain), true);
  assert.is(chains.note('ca', chain), false);
  const digest = chains.digestOf(ca);
  assert.match(digest, /^[0-9a-f]{64}$/);
  assert.is(chains.note('ca', [first, first]), true);
  assert.is.not(chains.digestOf(ca), digest);
  assert.is(chains.note('ca', [first, second]), true);
  assert.is(chains.digestOf(ca), digest);
  assert.is(chains.digestOf({ method: 'est', issuer: 'ca' }), '');
  chains.note('ca', []);
  assert.is(chains.digestOf(ca), '');
});

test('is persisted with an order, and may be missing, as in records of earlier versions', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'iotedge-chain-'));
  try {
    const issuance = { method: 'local_ca', issuer: 'ca', profile: 'server' } as const;
    const order = {
      ...issuance,
      keyId: 'k',
      keyAlgorithms: [],
      csr: undefined,
      template: undefined,
      spki: undefined,
      cookie: undefined,
      attempts: 1,
      since: 0,
      nextAttempt: 0,
      reason: 'no',
      settings: 's',
      isStuck: true,
      isRequested: false,
      isRekeyed: false,
    };
    const id = parseCertificateId('x');
    const storedWith = async (issuerChain: string | undefined) => {
      const enrolment: Enrolment = {
        ...issuance,
        since: 0,
        order: { ...order, issuerChain },
        successor: undefined,
        previous: [],
        ownKeys: [],
        isDeleted: false,
      };
      const entry: CertificateEntry = { id, chain: [], keyId: '', preloaded: false, enrolment };
      await (await Storage.open(directory)).put(entry, { replaces: false });
      return (await Storage.open(directory)).get(id)?.enrolment?.order?.issuerChain;
    };
    assert.is(await storedWith('abc'), 'abc');
    assert.is(await storedWith(undefined), undefined);
  } finally {
    await rm(directory, { recursive: true });
  }
});

test.run();
