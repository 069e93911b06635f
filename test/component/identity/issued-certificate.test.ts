import { X509Certificate } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { DueTimer } from '../../../src/identity/due-timer.ts';
import { IssuedCertificate } from '../../../src/identity/provisioners/issued-certificate.ts';
import { localSigner, spkiOf } from '../../../src/x509/algorithm.ts';
import { DeviceIssuer } from '../../support/cloud/device-issuer.ts';
import { until } from '../../support/deadline.ts';
import { via } from '../../support/via.ts';
import { makeKey } from '../../support/x509/openssl.ts';

const test = suite<{ issuer: DeviceIssuer }>('a certificate that the provisioning service issues');
const registrationId = 'device-7';
const dayMs = 86_400_000;
let time = Date.now();

test.before.each((context) => {
  context.issuer = new DeviceIssuer();
  time = Date.now();
});

test.after.each(({ issuer }) => {
  issuer[Symbol.dispose]();
});

/** Orders with a key, and what was imported. */
function set(apiVersion = '2025-07-01-preview') {
  const key = makeKey('ec-p256');
  const imported: unknown[] = [];
  const issued = new IssuedCertificate({
    apiVersion,
    keys: {
      CreateKeyPair: () => Promise.resolve({ key: '/' }),
      GetPublicKey: () => Promise.resolve({ spki: spkiOf(key) }),
      Sign: async ({ data }) => ({ signature: await localSigner(key).sign(Buffer.from(data)) }),
    },
    certificates: {
      ImportCertificate: (request) => {
        imported.push(request);
        return Promise.resolve({ certificate: '/' });
      },
    },
    now: () => new Date(time),
  });
  return { issued, imported };
}

const base64 = (chain: readonly Buffer[]) => ({
  issuedCertificateChain: chain.map((der) => der.toString('base64')),
});

test('is stored with its key, and due after four fifths of its life', async ({ issuer }) => {
  for (const apiVersion of ['2021-11-01-preview', '2025-07-01-preview']) {
    const { issued, imported } = set(apiVersion);
    const order = await issued.order(registrationId, via);
    const chain = issuer.issue(Buffer.from(order.csr, 'base64'), registrationId);
    const pem = chain.map((der) => new X509Certificate(der).toString()).join('');
    const state = { ...base64(chain), issuedClientCertificate: pem };
    const due = await issued.store(order, { registrationId, state }, via);
    const share = (due.getTime() - time) / (30 * dayMs);
    assert.ok(share > 0.74 && share < 0.81, String(share));
    assert.is(imported.length, 1);
    const [request] = imported as readonly { options: object; certificate_id: string }[];
    assert.is(request?.certificate_id, 'iotedge/device-identity');
    const keyId = 'iotedge/certificate/iotedge/device-identity';
    assert.equal(request?.options, { key_id: keyId, if_exists: 'replace' });
  }
});

test('that was issued long ago is used for half of what is left of its life', async ({
  issuer,
}) => {
  const { issued } = set();
  const order = await issued.order(registrationId, via);
  const chain = issuer.issue(Buffer.from(order.csr, 'base64'), registrationId);
  time += 29 * dayMs;
  const due = await issued.store(order, { registrationId, state: base64(chain) }, via);
  const leftMs = due.getTime() - time;
  assert.ok(leftMs > 0.45 * dayMs && leftMs < 0.55 * dayMs, String(leftMs));
});

const leaf = 'basicConstraints=critical,CA:FALSE\n';
const refusals: readonly (readonly [
  why: string,
  change: (issuer: DeviceIssuer) => void,
  state?: object,
])[] = [
  ['is for CN=another', (issuer) => Object.assign(issuer, { commonName: 'another' })],
  [
    'is one of a CA',
    (issuer) => Object.assign(issuer, { extensions: 'basicConstraints=CA:TRUE\n' }),
  ],
  [
    'is not for clients',
    (issuer) => Object.assign(issuer, { extensions: `${leaf}extendedKeyUsage=serverAuth\n` }),
  ],
  ['the clock is at', () => Object.assign({}, (time += 40 * dayMs))],
  ['the clock is at', () => Object.assign({}, (time -= 40 * dayMs))],
  ['issued no certificate', () => undefined, {}],
  ['issued no certificate', () => undefined, { issuedCertificateChain: [] }],
  ['is not a certificate', () => undefined, { issuedCertificateChain: ['AAAA', 5] }],
];

for (const [why, change, state] of refusals) {
  test(`is not stored when it ${why} (${JSON.stringify(state ?? {})}, ${String(change)})`, async ({
    issuer,
  }) => {
    const { issued, imported } = set();
    const order = await issued.order(registrationId, via);
    change(issuer);
    const chain = issuer.issue(Buffer.from(order.csr, 'base64'), registrationId);
    const answer = { registrationId, state: state ?? base64(chain) };
    const failure = await issued.store(order, answer, via).catch((error: unknown) => error);
    assert.match(String(failure), why);
    assert.equal(imported, []);
  });
}

test('is not stored when it is for another key', async ({ issuer }) => {
  const [other, { issued, imported }] = [set(), set()];
  const foreign = await other.issued.order(registrationId, via);
  const chain = issuer.issue(Buffer.from(foreign.csr, 'base64'), registrationId);
  const order = await issued.order(registrationId, via);
  const stored = issued.store(order, { registrationId, state: base64(chain) }, via);
  assert.match(String(await stored.catch((error: unknown) => error)), 'is for another key');
  assert.equal(imported, []);
});

test('is renewed when it is due by the clock, and not before', async () => {
  let begun = 0;
  let due: Date | undefined = new Date(time + 50);
  const timer = new DueTimer({
    due: () => due,
    begin: () => void begun++,
    now: () => new Date(time),
  });
  timer.check();
  assert.is(begun, 0);
  time += 50;
  await until(10_000, 'the renewal', () => begun === 1);
  timer.check();
  assert.is(begun, 2, 'as long as it is due');
  due = undefined;
  timer.check();
  timer.stop();
  assert.is(begun, 2);
});

test.run();
