/** Requests that are built on their connection and carry its tls-unique as the challengePassword (RFC 7030 3.5). */
import * as assert from 'uvu/assert';
import { isServiceError, ServiceError } from '../../../src/errors.ts';
import type { HttpsRequest } from '../../../src/https/https-request.ts';
import { parseCertificatesPem } from '../../../src/x509/certificate.ts';
import { soon } from '../../support/deadline.ts';
import { challengePasswordIn } from '../../support/est/challenge-password.ts';
import { type EstRig, makeOrder, makeSigned, reasonOf } from '../../support/est/est-rig.ts';
import type { EstServer, EstServerOptions } from '../../support/est/est-server.ts';
import { estSuite } from '../../support/est/est-suite.ts';

const test = estSuite('EST tls-unique');
/** The example of RFC 7030 4.5.2, without what an order here has not. */
const wanted = 'MAsGCSqGSIb3DQEJBw==';

async function serve(
  { rig }: { rig?: EstRig },
  options: Partial<EstServerOptions> = {},
): Promise<{ rig: EstRig; server: EstServer }> {
  if (rig === undefined) throw new Error('the rig was not set up');
  const server = await rig.serve({ wantsTlsUnique: true, ...options });
  server.answers.set('csrattrs', () => ({ body: wanted }));
  return { rig, server };
}

test('is in the request of an order whose server wants it, over TLS 1.2', async (context) => {
  const { rig, server } = await serve(context);
  const order = makeOrder();
  const answer = await rig.submit(rig.issuer(server), order);
  if (answer.kind !== 'issued') throw new Error(reasonOf(answer));
  assert.equal(server.problems, []);
  assert.equal(
    server.requests.map(({ protocol }) => protocol),
    ['TLSv1.3', 'TLSv1.3', 'TLSv1.2'],
  );
  assert.ok(answer.chain[0]?.spki.equals(order.key.spki));
  assert.equal(
    rig.logged.filter(({ message }) => message === 'attributes left out'),
    [],
  );
});

test('is not sent unasked', async (context) => {
  const { rig, server } = await serve(context, { wantsTlsUnique: false });
  server.answers.delete('csrattrs');
  assert.is((await rig.submit(rig.issuer(server), makeOrder())).kind, 'issued');
  const [csr] = server.requests.flatMap((one) => one.csr ?? []);
  assert.is(challengePasswordIn(csr ?? Buffer.alloc(0)), undefined);
});

test('is that of each connection on which a pending order is asked for', async (context) => {
  const { rig, server } = await serve(context);
  server.answers.set('simpleenroll', () => ({ status: 202 }));
  const { key, ...rest } = makeOrder();
  const { signer } = key;
  if (signer === undefined) throw new Error('an order has a signer');
  const signed: Buffer[] = [];
  const sign = (message: Buffer) => {
    signed.push(message);
    return signer.sign(message);
  };
  const order = { ...rest, key: { ...key, signer: { ...signer, sign } } };
  const issuer = rig.issuer(server);
  const first = await rig.submit(issuer, order);
  if (first.kind !== 'pending') throw new Error(reasonOf(first));
  server.answers.delete('simpleenroll');
  const template = Buffer.from(first.cookie.split(' ')[1] ?? '', 'base64');
  assert.ok(template.equals(order.request), 'what is kept is not signed');
  assert.is((await rig.submit(issuer, { ...order, cookie: first.cookie })).kind, 'issued');
  assert.ok(signed.length === 2 && signed.every((one) => challengePasswordIn(one) !== undefined));
  const passwords = server.requests.flatMap(({ csr }) =>
    csr === undefined ? [] : challengePasswordIn(csr),
  );
  assert.is(passwords.length, 2);
  assert.is.not(passwords[0], passwords[1]);
});

test('is put into a request that a former version has kept', async (context) => {
  const { rig, server } = await serve(context);
  const issuer = rig.issuer(server);
  assert.is((await rig.submit(issuer, makeOrder())).kind, 'issued');
  const order = await makeSigned();
  const url = `${server.url}/.well-known/est/simpleenroll`;
  const cookie = `${url} ${order.request.toString('base64')} tls-unique`;
  server.requests.length = 0;
  assert.is((await rig.submit(issuer, { ...order, cookie })).kind, 'issued');
  assert.equal(server.operations, ['simpleenroll']);
  assert.is((await rig.submit(issuer, order)).kind, 'issued', 'one that was not sent');
  const damaged = { ...order, cookie: `${url} AAAA tls-unique` };
  assert.is((await rig.submit(issuer, damaged)).kind, 'issued', 'one that is ordered anew');
});

test('is named with the words of a server that has another one, after each identity', async (context) => {
  const { rig, server } = await serve(context, { wantsTlsUnique: false });
  const issuer = rig.issuer({ url: server.url, bootstrap: 'factory' });
  const { key } = makeOrder();
  const pem = await rig.ca.certify(key.spki, { subject: '/CN=factory' });
  const chain = parseCertificatesPem(Buffer.from(pem), 'factory');
  rig.identities.set('factory', { chain, keyId: 'factory' });
  const basic = { username: 'edge', passwordFile: '/password' };
  const both = rig.issuer({ url: server.url, bootstrap: 'factory', ...basic });
  for (const [one, offered] of [
    [issuer, '"factory"'],
    [both, '"factory", the password alone'],
  ] as const) {
    server.requests.length = 0;
    const answer = await rig.submit(one, makeOrder());
    const reason = reasonOf(answer);
    assert.match(reason, 'the tls-unique of its connection: status 401 "Proof of Possession Mism');
    assert.match(reason, `it may also want another client certificate: offered ${offered}`);
    assert.is(answer.kind === 'rejected' && answer.retryAfterS, 3600);
    const orders = server.operations.filter((operation) => operation === 'simpleenroll');
    assert.is(orders.length, offered.split(',').length);
  }
});

test('is missed in the words of the server by an order that ignores attributes', async (context) => {
  const { rig, server } = await serve(context);
  const issuer = rig.issuer({ url: server.url, csrattrs: 'ignore' });
  const reason = reasonOf(await rig.submit(issuer, makeOrder()));
  const refusal = 'the server refuses the request: status 401 "Proof of Possession Mismatch."';
  const more = '; it may want another client certificate: offered no certificate';
  assert.is(reason, `${refusal}${more}`);
});

test('cannot be given to a server without TLS 1.2', async (context) => {
  const { rig, server } = await serve(context, { version: 'TLSv1.3' });
  const answer = await rig.submit(rig.issuer(server), makeOrder());
  assert.match(reasonOf(answer), 'speaks no TLS 1.2');
});

test('cannot be put into a request that its caller has signed', async (context) => {
  const { rig, server } = await serve(context);
  const order = makeOrder();
  const pending = rig.submit(rig.issuer(server), {
    ...order,
    key: { ...order.key, keyId: '', signer: undefined },
  });
  const error: unknown = await pending.catch((one: unknown) => one);
  assert.ok(isServiceError(error, 'NotSupported'));
  assert.equal(server.operations, ['cacerts', 'csrattrs']);
});

test('is lost with a key that cannot sign', async (context) => {
  const { rig, server } = await serve(context);
  const order = makeOrder();
  const sign = () => Promise.reject(new ServiceError('Unavailable', 'no Keys service'));
  const signer = { algorithm: 'ecdsa-sha256', sign } as const;
  const pending = rig.submit(rig.issuer(server), { ...order, key: { ...order.key, signer } });
  const error: unknown = await pending.catch((one: unknown) => one);
  assert.match(String(error), 'no Keys service');
  assert.equal(server.operations, ['cacerts', 'csrattrs']);
});

test('is waited for no longer than the request may take', async (context) => {
  const { rig, server } = await serve(context);
  const request: HttpsRequest = {
    method: 'POST',
    url: `${server.url}/.well-known/est/simpleenroll`,
    ca: await rig.ca.certificate('root'),
    requestId: 'test',
    timeoutMs: 500,
  };
  const never = () => new Promise<Uint8Array>(() => undefined);
  const error: unknown = await rig.https
    .request(request, soon(), never)
    .catch((one: unknown) => one);
  assert.ok(isServiceError(error, 'Unavailable'));
  assert.equal(server.requests, []);
});

test.run();
