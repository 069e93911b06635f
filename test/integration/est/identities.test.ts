/** Client certificates with keys in the Keys service: which of them an EST server gets, and in which order. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseCertificatesPem } from '../../../src/x509/certificate.ts';
import { soon } from '../../support/deadline.ts';
import { EstRig, makeOrder, makeSigned, reasonOf } from '../../support/est/est-rig.ts';
import type { EstServer, EstServerOptions } from '../../support/est/est-server.ts';
import { ScriptedPort } from '../../support/est/scripted-port.ts';
import { ServedKeys } from '../../support/keys/served-keys.ts';
import { Pki } from '../../support/tls/pki.ts';
import { StrictServer } from '../../support/tls/strict-server.ts';

interface Parts {
  readonly keys: ServedKeys;
  readonly rig: EstRig;
}

const test = suite<{ keys?: ServedKeys; rig?: EstRig }>('EST client certificates');

test.before(async (context) => {
  const keys = (context.keys = await ServedKeys.start());
  process.env['DBUS_SYSTEM_BUS_ADDRESS'] = keys.address; // where the provider connects
  for (const id of ['edge', 'factory']) await keys.create(id, 'ec-p256');
  context.rig = await EstRig.start();
});

test.after(async ({ rig, keys }) => {
  for (const part of [rig, keys]) await part?.[Symbol.asyncDispose]();
});

test.after.each(async ({ rig }) => {
  await rig?.reset();
});

function partsOf({ keys, rig }: Partial<Parts>): Parts {
  if (!keys || !rig) throw new Error('the rig was not set up');
  return { keys, rig };
}

/** A certificate of the EST CA for a key of the service. */
async function certified(
  { keys, rig }: Parts,
  id: string,
  options: Parameters<EstRig['ca']['certify']>[1] = {},
) {
  const pem = await rig.ca.certify(keys.get(id).spki, { subject: `/CN=${id}`, ...options });
  return { chain: parseCertificatesPem(Buffer.from(pem), id), keyId: id };
}

/** A server that knows the root only and refuses all without a certificate below it. */
async function strict(rig: EstRig, options: Partial<EstServerOptions> = {}): Promise<EstServer> {
  const clientRoots = await rig.ca.certificate('root');
  return rig.serve({ clientRoots, isCertificateRequired: true, ...options });
}

async function issuingOf(rig: EstRig) {
  return parseCertificatesPem(Buffer.from(await rig.ca.certificate('issuing')), 'issuing');
}

const clientsOf = ({ requests }: EstServer): readonly (string | undefined)[] =>
  requests.map(({ client }) => client);

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`presents its identity with the issuing CA for all operations over ${version}`, async (context) => {
    const parts = partsOf(context);
    const { rig } = parts;
    const server = await strict(rig, { version });
    const own = await certified(parts, 'factory');
    const issuing = await issuingOf(rig);
    rig.identities.set('factory', { ...own, chain: [...own.chain, ...issuing] });
    const issuer = rig.issuer({ url: server.url, bootstrap: 'factory' });
    assert.is((await rig.submit(issuer, makeOrder())).kind, 'issued');
    assert.equal(clientsOf(server), ['factory', 'factory', 'factory']);
    assert.equal(server.operations.at(-1), 'simpleenroll');
    // from now on the CAs are known
    rig.identities.set('factory', own);
    assert.is((await rig.submit(issuer, makeOrder())).kind, 'issued');
    assert.equal(server.problems, []);
  });
}

async function renewalOf(parts: Parts, dns = ['edge.example']) {
  const hosts = ['edge.example'];
  const own = await certified(parts, 'edge', { hosts, days: 10 });
  const renewed = { ...own, chain: [...own.chain, ...(await issuingOf(parts.rig))] };
  return makeOrder({ subject: 'CN=edge', dns, renewed });
}

test('renews with the certificate that is renewed', async (context) => {
  const parts = partsOf(context);
  const server = await strict(parts.rig);
  const answer = await parts.rig.submit(parts.rig.issuer(server), await renewalOf(parts));
  assert.equal(server.problems, []);
  assert.is(answer.kind, 'issued');
  assert.equal(server.operations, ['cacerts', 'csrattrs', 'simplereenroll']);
  assert.equal(clientsOf(server), ['edge', 'edge', 'edge']);
});

test('presents no certificate whose renewal is prepared for the request of a caller', async (context) => {
  const parts = partsOf(context);
  const server = await strict(parts.rig);
  const issuer = parts.rig.issuer(server);
  const via = { requestId: 'test', signal: soon() };
  const renewal = await renewalOf(parts);
  assert.is((await issuer.prepare(renewal, ['ec-p256', 'ec-p384'], via)).kind, 'prepared');
  assert.equal(clientsOf(server), ['edge', 'edge']);
  assert.is((await parts.rig.submit(issuer, await makeSigned())).kind, 'rejected');
  assert.is(server.requests.length, 2);
});

test('enrols anew with changed names', async (context) => {
  const parts = partsOf(context);
  const server = await strict(parts.rig);
  const order = await renewalOf(parts, ['other.example']);
  assert.is((await parts.rig.submit(parts.rig.issuer(server), order)).kind, 'issued');
  assert.is(server.operations.at(-1), 'simpleenroll');
});

test('enrols anew with the configured identity', async (context) => {
  const parts = partsOf(context);
  const { rig } = parts;
  const server = await strict(rig);
  const own = await certified(parts, 'factory');
  rig.identities.set('factory', { ...own, chain: [...own.chain, ...(await issuingOf(rig))] });
  const issuer = rig.issuer({ url: server.url, identity: 'factory' });
  assert.is((await rig.submit(issuer, await renewalOf(parts))).kind, 'issued');
  assert.is(server.operations.at(-1), 'simpleenroll');
  assert.equal(clientsOf(server), ['factory', 'factory', 'factory']);
});

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`offers the bootstrap certificate when OpenSSL refuses the first one over ${version}`, async (context) => {
    const parts = partsOf(context);
    const { rig } = parts;
    await using pki = await Pki.create();
    await using refusing = await StrictServer.start(pki, version);
    rig.files.set('/other', pki.root.certificate);
    const server = await strict(rig);
    const own = await certified(parts, 'factory');
    rig.identities.set('factory', { ...own, chain: [...own.chain, ...(await issuingOf(rig))] });
    await using port = await ScriptedPort.start({ port: refusing.port }, { port: server.port });
    const trustedCa = ['/root', '/other'];
    const issuer = rig.issuer({ url: port.url, bootstrap: 'factory', trustedCa });
    const answer = await rig.submit(issuer, await renewalOf(parts));
    assert.is(answer.kind, 'issued');
    assert.equal(server.operations, ['cacerts', 'csrattrs', 'simpleenroll']);
    assert.equal(clientsOf(server), ['factory', 'factory', 'factory']);
  });
}

test('offers the next identity after two closes, and names all that were refused', async (context) => {
  const parts = partsOf(context);
  const { rig } = parts;
  const server = await strict(rig);
  await using other = await Pki.create();
  const pem = await other.certify('stranger', parts.keys.get('factory').spki);
  const chain = parseCertificatesPem(Buffer.from(pem), 'stranger');
  rig.identities.set('factory', { chain, keyId: 'factory' });
  const issuer = rig.issuer({ url: server.url, identity: 'factory', bootstrap: 'gone' });
  const error = await rig.submit(issuer, makeOrder()).then(
    ({ kind }) => kind,
    (one: unknown) => String(one),
  );
  assert.match(error, 'offered "factory", "gone" (which does not exist, or has no key)');
});

/** The order of a renewal whose old key does not exist any more. */
async function orderWithoutKey(parts: Parts) {
  const order = await renewalOf(parts);
  const { chain = [] } = order.renewed ?? {};
  return { ...order, renewed: { chain, keyId: 'lost' } };
}

test('offers the bootstrap certificate when the key of the first one is lost', async (context) => {
  const parts = partsOf(context);
  const { rig } = parts;
  const server = await strict(rig);
  const own = await certified(parts, 'factory');
  rig.identities.set('factory', { ...own, chain: [...own.chain, ...(await issuingOf(rig))] });
  const issuer = rig.issuer({ url: server.url, bootstrap: 'factory' });
  const answer = await rig.submit(issuer, await orderWithoutKey(parts));
  assert.is(answer.kind, 'issued');
  assert.equal(clientsOf(server), ['factory', 'factory', 'factory']);
  assert.is(server.operations.at(-1), 'simpleenroll');
});

test('offers the password alone when the key of the certificate is lost', async (context) => {
  const parts = partsOf(context);
  const { rig } = parts;
  const clientRoots = await rig.ca.certificate('root');
  const server = await rig.serve({ clientRoots, basic: 'edge:secret' });
  const basic = { username: 'edge', passwordFile: '/password' };
  const issuer = rig.issuer({ url: server.url, ...basic });
  assert.is((await rig.submit(issuer, await orderWithoutKey(parts))).kind, 'issued');
  assert.equal(clientsOf(server), [undefined, undefined, undefined]);
});

test('offers nothing when all keys are lost, and names them when that is refused', async (context) => {
  const parts = partsOf(context);
  const { rig } = parts;
  const order = await orderWithoutKey(parts);
  const open = await rig.serve();
  assert.is((await rig.submit(rig.issuer(open), order)).kind, 'issued');
  const server = await strict(rig);
  const reason = reasonOf(await rig.submit(rig.issuer(server), order));
  assert.match(reason, 'offered no certificate, "edge" (whose key is lost)');
  assert.equal(server.requests, []);
});

test('enrols anew where the certificate that is renewed was not asked for', async (context) => {
  const parts = partsOf(context);
  const server = await parts.rig.serve({ basic: 'edge:secret' });
  const basic = { username: 'edge', passwordFile: '/password' };
  const issuer = parts.rig.issuer({ url: server.url, ...basic });
  assert.is((await parts.rig.submit(issuer, await renewalOf(parts))).kind, 'issued');
  assert.is(server.operations.at(-1), 'simpleenroll');
});

test('offers a certificate that has expired last', async (context) => {
  const parts = partsOf(context);
  const { rig } = parts;
  const server = await rig.serve({ clientRoots: await rig.ca.certificate('root') });
  const order = await renewalOf(parts);
  const now = new Date(Date.now() + 20 * 24 * 3600 * 1000);
  const own = await certified(parts, 'factory', { days: 60 });
  rig.identities.set('factory', { ...own, chain: [...own.chain, ...(await issuingOf(rig))] });
  const issuer = rig.issuer({ url: server.url, bootstrap: 'factory' });
  assert.is((await rig.submit(issuer, { ...order, now })).kind, 'issued');
  assert.equal(clientsOf(server), ['factory', 'factory', 'factory']);
  // and not never
  server.requests.length = 0;
  assert.is((await rig.submit(rig.issuer(server), { ...order, now })).kind, 'issued');
  assert.equal(clientsOf(server), ['edge', 'edge', 'edge']);
});

test('names an expired certificate that is refused', async (context) => {
  const parts = partsOf(context);
  await using port = await ScriptedPort.start({ alert: 45 });
  const order = await renewalOf(parts);
  const now = new Date(Date.now() + 20 * 24 * 3600 * 1000);
  const answer = await parts.rig.submit(parts.rig.issuer(port), { ...order, now });
  assert.match(reasonOf(answer), 'offered "edge" (expired)');
});

test.run();
