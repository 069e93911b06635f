/** What the client does about the attributes that an EST server wants in requests. */
import { generateKeyPairSync } from 'node:crypto';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../src/errors.ts';
import type { KeyAlgorithm, SignatureAlgorithm, Signer } from '../../../src/x509/algorithm.ts';
import { parseCsr, signatureAlgorithmIn } from '../../../src/x509/csr.ts';
import { encode, octetString, oid, sequence, set } from '../../../src/x509/der/asn1.ts';
import { keyUsage } from '../../../src/x509/extensions.ts';
import { soon } from '../../support/deadline.ts';
import { makeOrder, makeSigned, reasonOf } from '../../support/est/est-rig.ts';
import type { EstAnswer } from '../../support/est/est-server.ts';
import { estSuite, rigOf } from '../../support/est/est-suite.ts';

const test = estSuite('EST attributes');
const libest = 'MCYGBysGAQEBARYGCSqGSIb3DQEJAQYFK4EEACIGCWCGSAFlAwQCAg==\0';
const rfc7030 =
  'MEEGCSqGSIb3DQEJBwYIKoZIzj0EAwMwFgYJKoZIhvcNAQkOMQkGBysGAQEBARYwEgYHKoZIzj0CATEHBgUrgQQAIg==';

const nothing: Readonly<Record<string, EstAnswer>> = {
  'status 404': { status: 404, body: 'not here' },
  'status 204': { status: 204 },
  'an empty body': {},
  'an empty sequence': { body: 'MAA=\n' },
};

for (const [name, answer] of Object.entries(nothing)) {
  test(`orders as it is after ${name}, without a record of the log`, async (context) => {
    const rig = rigOf(context);
    const server = await rig.serve();
    server.answers.set('csrattrs', () => answer);
    assert.is((await rig.submit(rig.issuer(server), makeOrder())).kind, 'issued');
    assert.equal(server.operations, ['cacerts', 'csrattrs', 'simpleenroll']);
    assert.equal(
      rig.logged.filter(({ message }) => message !== 'trust anchor learned'),
      [],
    );
  });
}

test('logs what the server wants and the order has not, and names it when the order fails', async (context) => {
  const rig = rigOf(context);
  const server = await rig.serve();
  server.answers.set('csrattrs', () => ({ body: libest }));
  const issuer = rig.issuer(server);
  assert.is((await rig.submit(issuer, makeOrder())).kind, 'issued');
  const record = rig.logged.find(({ message }) => message === 'attributes left out');
  const attributes = 'macAddress, emailAddress, secp384r1';
  assert.equal(record?.fields, { issuer: 'hq', certificateId: 'edge', attributes });
  server.answers.set('simpleenroll', () => ({ status: 400, body: 'CSR Attributes missing' }));
  const reason = reasonOf(await rig.submit(issuer, makeOrder()));
  assert.match(reason, `CSR Attributes missing; the server also wants ${attributes}`);
});

const p384 = '1.3.132.0.34';
const sha384 = '2.16.840.1.101.3.4.2.2';

test('wants a key of the curve that the server wants, where that may replace the present one', async (context) => {
  const rig = rigOf(context);
  const server = await rig.serve({ enforced: [p384, sha384] });
  const issuer = rig.issuer(server);
  const order = makeOrder();
  const alternatives = ['ec-p521', 'ec-p384', 'ec-p256'] as const;
  const answer = await rig.submit(issuer, { ...order, key: { ...order.key, alternatives } });
  const reason = 'the server wants a key of the kind ec-p384';
  assert.equal(answer, { kind: 'rekey', reason, algorithms: ['ec-p384'] });
  assert.equal(server.operations, ['cacerts', 'csrattrs']);
  const key = generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey;
  assert.is((await rig.submit(issuer, makeOrder({ key }))).kind, 'issued');
  const only = ['ec-p521', 'ec-p256'] as const;
  const kept = await rig.submit(issuer, { ...order, key: { ...order.key, alternatives: only } });
  const left = 'status 400: CSR Attributes missing in request.; the server also wants secp384r1';
  assert.is(reasonOf(kept), `the order: ${left}, which was left out`);
});

test('says what key the server wants before there is one, and asks it once for both', async (context) => {
  const rig = rigOf(context);
  const server = await rig.serve({ enforced: [p384, sha384] });
  const issuer = rig.issuer(server);
  const key = generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey;
  const prepare = (allowed: readonly KeyAlgorithm[]) =>
    issuer.prepare(makeOrder(), allowed, { requestId: 'test', signal: soon() });
  const [prepared, algorithms] = ['prepared', ['ec-p384']] as const;
  assert.equal(await prepare(['ec-p256', 'ec-p384']), { kind: prepared, algorithms });
  assert.is((await rig.submit(issuer, makeOrder({ key }))).kind, 'issued');
  assert.equal(server.operations, ['cacerts', 'csrattrs', 'simpleenroll']);
  assert.equal(await prepare(['ec-p256', 'ec-p521']), { kind: prepared, algorithms: [] });
  server.answers.set('csrattrs', () => ({ status: 403 }));
  assert.match(JSON.stringify(await prepare(['ec-p256'])), 'csrattrs: status 403');
  const ignoring = rig.issuer({ url: server.url, csrattrs: 'ignore' });
  const { length } = server.operations;
  const on = { requestId: 'test', signal: soon() };
  assert.is((await ignoring.prepare(makeOrder(), ['ec-p256', 'ec-p384'], on)).kind, prepared);
  assert.is(server.operations.length, length);
});

for (const isBound of [false, true]) {
  const binding = isBound ? ' on its connection' : '';
  test(`signs${binding} with the hash that the server wants, or as usual where that cannot be`, async (context) => {
    const rig = rigOf(context);
    const challenge = isBound ? ['1.2.840.113549.1.9.7'] : [];
    const enforced = [sha384, ...challenge];
    const server = await rig.serve({ enforced, wantsTlsUnique: isBound });
    const issuer = rig.issuer(server);
    const order = makeOrder();
    assert.is((await rig.submit(issuer, order)).kind, 'issued');
    const { csr = Buffer.alloc(0) } = server.requests.at(-1) ?? {};
    assert.is(signatureAlgorithmIn(csr), 'ecdsa-sha384');
    const refuses = (algorithm: SignatureAlgorithm): Signer => ({
      algorithm,
      sign: () => Promise.reject(new ServiceError('NotSupported', 'not with this key')),
    });
    const answer = await rig.submit(issuer, {
      ...order,
      key: { ...order.key, signerWith: refuses },
    });
    assert.match(reasonOf(answer), 'the server also wants SHA-384, which was left out');
  });
}

test('keeps the hash of a request that is bound while it is pending', async (context) => {
  const rig = rigOf(context);
  const enforced = [sha384, '1.2.840.113549.1.9.7'];
  const server = await rig.serve({ enforced, wantsTlsUnique: true });
  server.answers.set('simpleenroll', () => ({ status: 202 }));
  const issuer = rig.issuer(server);
  const order = makeOrder();
  const first = await rig.submit(issuer, order);
  if (first.kind !== 'pending') throw new Error(reasonOf(first));
  server.answers.delete('simpleenroll');
  assert.is((await rig.submit(issuer, { ...order, cookie: first.cookie })).kind, 'issued');
});

test('keeps when to come back of an order that fails so', async (context) => {
  const rig = rigOf(context);
  const server = await rig.serve();
  server.answers.set('csrattrs', () => ({ body: libest }));
  server.answers.set('simpleenroll', () => ({ status: 403 }));
  const answer = await rig.submit(rig.issuer(server), makeOrder());
  assert.is(answer.kind === 'rejected' && answer.retryAfterS, 3600);
});

/** Wants the extended key usage of the profile, a CA's key usage, and an extension that is unknown. */
const extensions = encode(
  sequence(
    sequence(
      oid('1.2.840.113549.1.9.14'),
      set(
        sequence(
          sequence(oid('2.5.29.37')),
          sequence(oid('2.5.29.15'), octetString(keyUsage(['keyCertSign']).value)),
          sequence(oid('1.2.3.4')),
        ),
      ),
    ),
  ),
).toString('base64');

test('puts in what the profile allows, and keeps to it while the order is pending', async (context) => {
  const rig = rigOf(context);
  const server = await rig.serve();
  server.answers.set('csrattrs', () => ({ body: extensions }));
  server.answers.set('simpleenroll', () => ({ status: 202 }));
  const order = makeOrder();
  const issuer = rig.issuer(server);
  const first = await rig.submit(issuer, order);
  if (first.kind !== 'pending') throw new Error(reasonOf(first));
  server.answers.delete('simpleenroll');
  assert.is((await rig.submit(issuer, { ...order, cookie: first.cookie })).kind, 'issued');
  assert.equal(server.operations, ['cacerts', 'csrattrs', 'simpleenroll', 'simpleenroll']);
  const [one, other] = server.requests.flatMap(({ csr }) => csr ?? []);
  if (one === undefined || other === undefined) throw new Error('no request was sent');
  assert.ok(one.equals(other));
  const { requested, subjectDer, spki } = parseCsr(one);
  assert.equal(requested.extendedKeyUsage, ['clientAuth']);
  assert.equal(requested.keyUsage, []);
  assert.equal(requested.alternativeNames, order.names);
  assert.ok(subjectDer.equals(order.subjectDer) && spki.equals(order.key.spki));
  const record = rig.logged.find(({ message }) => message === 'attributes left out');
  assert.match(JSON.stringify(record), 'keyUsage, 1.2.3.4');
});

test('leaves the request of a caller as it is', async (context) => {
  const rig = rigOf(context);
  const server = await rig.serve();
  server.answers.set('csrattrs', () => ({ body: extensions }));
  const order = await makeSigned();
  const key = { ...order.key, keyId: '', signer: undefined };
  assert.is((await rig.submit(rig.issuer(server), { ...order, key })).kind, 'issued');
  assert.ok(server.requests.at(-1)?.csr?.equals(order.request));
});

test('starts anew when the settings of a pending order lead elsewhere', async (context) => {
  const rig = rigOf(context);
  const server = await rig.serve();
  const cookie = 'https://elsewhere.example/.well-known/est/simpleenroll';
  const answer = await rig.submit(rig.issuer(server), makeOrder({ cookie }));
  assert.is(answer.kind, 'issued');
  assert.equal(server.operations, ['cacerts', 'csrattrs', 'simpleenroll']);
});

test('asks for no attributes when they are ignored', async (context) => {
  const rig = rigOf(context);
  const server = await rig.serve();
  const issuer = rig.issuer({ url: server.url, csrattrs: 'ignore' });
  assert.is((await rig.submit(issuer, makeOrder())).kind, 'issued');
  assert.equal(server.operations, ['cacerts', 'simpleenroll']);
});

for (const [name, answer] of Object.entries({
  HTML: { body: '<html>' },
  'half of them': { body: rfc7030.slice(0, 40) },
  'status 500': { status: 500 },
  'a compressed body': { headers: { 'content-encoding': 'gzip' }, body: libest },
  'a body of 300 KiB': { body: Buffer.alloc(300 << 10, 'A') },
})) {
  test(`orders as it is after an answer that is ${name}, with a warning`, async (context) => {
    const rig = rigOf(context);
    const server = await rig.serve();
    server.answers.set('csrattrs', () => answer);
    assert.is((await rig.submit(rig.issuer(server), makeOrder())).kind, 'issued');
    assert.ok(rig.logged.some(({ message }) => message === 'csrattrs failed'));
  });
}

test('ends the attempt when attributes are forbidden', async (context) => {
  const rig = rigOf(context);
  const server = await rig.serve();
  server.answers.set('csrattrs', () => ({ status: 403 }));
  const answer = await rig.submit(rig.issuer(server), makeOrder());
  assert.match(reasonOf(answer), 'csrattrs: status 403');
});

test.run();
