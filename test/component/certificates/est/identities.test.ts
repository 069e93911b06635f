import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  anonymous,
  identitiesOf,
  judgeFailure,
  toClientCertificate,
} from '../../../../src/certificates/est/identities.ts';
import { ServiceError } from '../../../../src/errors.ts';
import { HttpsFailure, type HttpsFailureKind } from '../../../../src/https/https-failure.ts';
import { parseCertificatesPem } from '../../../../src/x509/certificate.ts';
import { makeCa } from '../../../support/est/ca.ts';

const test = suite('EST identities');
const now = new Date('2026-06-01T00:00:00Z');

async function identity(name: string, notAfter?: Date) {
  const leaf = await makeCa(name, { isCa: false, ...(notAfter && { notAfter }) });
  return { name, certificate: { chain: [leaf.certificate], keyId: name } };
}

const namesOf = (list: readonly { readonly name: string }[]) => list.map(({ name }) => name);

test('are the certificate, the bootstrap certificate and the password, in this order', async () => {
  const [first, bootstrap] = [await identity('own'), await identity('factory')];
  const all = identitiesOf({ first, bootstrap, hasPassword: true }, now);
  assert.equal(namesOf(all), ['own', 'factory', 'the password alone']);
});

test('that have expired come last', async () => {
  const first = await identity('own', new Date('2026-05-01T00:00:00Z'));
  const bootstrap = await identity('factory');
  const all = identitiesOf({ first, bootstrap, hasPassword: true }, now);
  assert.equal(namesOf(all), ['factory', 'the password alone', 'own (expired)']);
});

test('are offered once each', async () => {
  const first = await identity('own');
  const all = identitiesOf(
    { first, bootstrap: { ...first, name: 'same' }, hasPassword: false },
    now,
  );
  assert.equal(namesOf(all), ['own']);
});

test('are none at all for a server that wants none', () => {
  const none = { first: undefined, bootstrap: undefined };
  assert.equal(namesOf(identitiesOf({ ...none, hasPassword: false }, now)), ['no certificate']);
  assert.equal(namesOf(identitiesOf({ ...none, hasPassword: true }, now)), ['the password alone']);
});

test('are presented with their issuing CAs, without the root', async () => {
  const root = await makeCa('root');
  const middle = await makeCa('middle', { issuer: root });
  const issuing = await makeCa('issuing', { issuer: middle });
  const leaf = await makeCa('leaf', { issuer: issuing, isCa: false });
  const [one, two, three] = [leaf, middle, issuing].map(({ certificate }) => certificate);
  if (!one || !two || !three) throw new Error('unreachable');
  const presented = toClientCertificate({ chain: [one], keyId: 'k' }, [
    root.certificate,
    two,
    three,
  ]);
  const chain = parseCertificatesPem(Buffer.from(presented.chainPem), 'chain');
  assert.equal(
    chain.map(({ subjectText }) => subjectText),
    ['CN=leaf', 'CN=issuing', 'CN=middle'],
  );
});

const failure = (kind: HttpsFailureKind, code: string, alert?: number): ServiceError =>
  new ServiceError('Unavailable', 'failed', {
    cause: new HttpsFailure(kind, code, 'x', { alert }),
  });

for (const alert of [40, 42, 43, 45, 46, 48, 49, 116]) {
  test(`are refused by the alert ${alert}`, () => {
    assert.is(judgeFailure(failure('connection', 'EPROTO', alert), anonymous), 'refused');
  });
}

test('are refused by the alert 47 only where there is a certificate that it can be about', () => {
  const error = failure('connection', 'EPROTO', 47);
  assert.is(judgeFailure(error, { certificate: { chain: [], keyId: 'a' } }), 'refused');
  assert.is(judgeFailure(error, anonymous), 'other');
});

const others: readonly (readonly [ServiceError, string])[] = [
  [failure('connection', 'EPROTO', 44), 'revoked'],
  [failure('connection', 'EPROTO', 70), 'other'],
  [failure('connection', 'EPROTO', 80), 'other'],
  [failure('connection', 'ECONNRESET'), 'closed'],
  [failure('connection', 'EPIPE'), 'closed'],
  [failure('connection', 'ECONNREFUSED'), 'other'],
  [failure('connection', 'ETIMEDOUT'), 'other'],
  [failure('response', 'ECONNRESET'), 'other'],
  [failure('server-certificate', 'CERT_HAS_EXPIRED'), 'other'],
  [failure('client-certificate', 'EPROTO'), 'other'],
  [failure('client-certificate', 'org.iotedge.Error.Unavailable'), 'other'],
  [failure('client-certificate', 'org.iotedge.Error.NotFound'), 'lost'],
  [new ServiceError('Unavailable', 'no cause'), 'other'],
];

for (const [at, [error, verdict]] of others.entries()) {
  test(`are ${verdict} by failure ${at + 1}`, () => {
    assert.is(judgeFailure(error, anonymous), verdict);
  });
}

test.run();
