/** The roots of the TLS connection and of issued certificates, and how they change. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isServiceError } from '../../../src/errors.ts';
import { parseCertificatesPem } from '../../../src/x509/certificate.ts';
import { outputOf } from '../../support/command.ts';
import { EstCa } from '../../support/est/est-ca.ts';
import { EstRig, makeOrder, reasonOf } from '../../support/est/est-rig.ts';
import type { EstServer } from '../../support/est/est-server.ts';

const test = suite<{ rig?: EstRig; other?: EstCa }>('EST trust');

test.before(async (context) => {
  const rig = (context.rig = await EstRig.start());
  context.other = await EstCa.create('TLS');
  rig.files.set('/tls', await context.other.certificate('root'));
  // the next root of the EST CA, and an issuing CA below it
  await rig.ca.makeRoot('next', '/CN=EST root 2');
  await rig.ca.crossSign('newWithOld', 'next', 'root');
  await rig.ca.crossSign('oldWithNew', 'root', 'next');
  await rig.ca.makeIssuing('issuing2', '/CN=EST issuing 2', 'next');
  rig.files.set('/next', await rig.ca.certificate('next'));
});

test.after(async ({ rig, other }) => {
  for (const part of [rig, other]) await part?.[Symbol.asyncDispose]();
});

test.after.each(async ({ rig }) => {
  await rig?.reset();
});

function partsOf({ rig, other }: { rig?: EstRig; other?: EstCa }) {
  if (!rig || !other) throw new Error('the rig was not set up');
  return { rig, other };
}

function fingerprintOf(pem: string): string {
  return parseCertificatesPem(Buffer.from(pem), 'root')[0]?.fingerprint ?? '';
}

/** From now on the server answers cacerts with these files, and issues below the next root. */
function rollOver(rig: EstRig, server: EstServer, ...files: readonly string[]): void {
  server.answers.set('cacerts', async () =>
    server.certificates(...(await Promise.all(files.map((file) => rig.ca.certificate(file))))),
  );
  server.answers.set('simpleenroll', async ({ csr = Buffer.alloc(0) }) =>
    server.certificates(await rig.ca.issue(csr, { by: 'issuing2' })),
  );
}

test('speaks TLS under another root than that of the EST CA, also after cacerts', async (context) => {
  const { rig, other } = partsOf(context);
  const server = await rig.serve({ credential: await other.makeLeaf('server') });
  const issuer = rig.issuer({ url: server.url, trustedCa: ['/tls'] });
  for (const _ of [1, 2]) {
    assert.is((await rig.submit(issuer, makeOrder())).kind, 'issued');
  }
});

test('names the root of a server that is not trusted, and the setting', async (context) => {
  const { rig, other } = partsOf(context);
  const { key, certificate } = await other.makeLeaf('server');
  const root = await other.certificate('root');
  const server = await rig.serve({ credential: { key, certificate: certificate + root } });
  const pending = rig.submit(rig.issuer(server), makeOrder());
  const error: unknown = await pending.catch((one: unknown) => one);
  assert.ok(isServiceError(error, 'Unavailable'));
  assert.match(String(error), `SHA-256 ${fingerprintOf(root)}`);
  assert.match(String(error), 'issuers.hq.trusted_ca');
});

/** What a server sends in place of its whole chain, and the certificate that is named for it. */
const unknownChains: Readonly<Record<string, readonly [string, readonly string[]]>> = {
  'its certificate alone': ['alone', ['alone']],
  'no root': ['below', ['below', 'issuing']],
  'no root, below a CA that is trusted alone': ['below', ['below', 'issuing']],
  'a certificate that is its own root': ['self', ['self']],
};

async function makeSelfSigned(cwd: string, file: string): Promise<void> {
  const line = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost`;
  await outputOf('openssl', [...line.split(' '), '-keyout', `${file}.key`, '-out', `${file}.cer`], {
    cwd,
  });
}

for (const [what, [file, sent]] of Object.entries(unknownChains)) {
  test(`names what is missing above a server that sends ${what}`, async (context) => {
    const { rig, other } = partsOf(context);
    if (file === 'self') await makeSelfSigned(other.directory, file);
    else await other.makeLeaf(file, { by: file === 'below' ? 'issuing' : 'root' });
    const chain = await Promise.all(sent.map((one) => other.certificate(one)));
    const key = await readFile(join(other.directory, `${file}.key`), 'utf8');
    const server = await rig.serve({ credential: { key, certificate: chain.join('') } });
    if (what.endsWith('alone')) rig.files.set('/issuing', await other.certificate('issuing'));
    const trustedCa = what.endsWith('trusted alone') ? ['/issuing'] : ['/root'];
    const pending = rig.submit(rig.issuer({ url: server.url, trustedCa }), makeOrder());
    const error: unknown = await pending.catch((one: unknown) => one);
    assert.match(String(error), `SHA-256 ${fingerprintOf(chain.at(-1) ?? '')}`);
    assert.match(String(error), file === 'self' ? 'its root "CN=localhost"' : '"CN=TLS root" of');
    assert.equal(server.requests, []);
  });
}

test('refuses a server with another host name', async (context) => {
  const { rig } = partsOf(context);
  const credential = await rig.ca.makeLeaf('elsewhere', { hosts: ['elsewhere.example'] });
  const server = await rig.serve({ credential });
  const pending = rig.submit(rig.issuer(server), makeOrder());
  const error: unknown = await pending.catch((one: unknown) => one);
  assert.match(String(error), 'ERR_TLS_CERT_ALTNAME_INVALID');
  assert.equal(server.requests, []);
});

test('takes no certificate below the roots of TLS alone', async (context) => {
  const { rig, other } = partsOf(context);
  const server = await rig.serve({ credential: await other.makeLeaf('server') });
  server.answers.set('simpleenroll', async ({ csr = Buffer.alloc(0) }) =>
    server.certificates(await other.issue(csr), await other.certificate('issuing')),
  );
  const answer = await rig.submit(
    rig.issuer({ url: server.url, trustedCa: ['/tls'] }),
    makeOrder(),
  );
  assert.match(reasonOf(answer), 'no trust anchor');
});

test('follows a rollover with NewWithOld', async (context) => {
  const { rig } = partsOf(context);
  const server = await rig.serve();
  const issuer = rig.issuer(server);
  assert.is((await rig.submit(issuer, makeOrder())).kind, 'issued');
  rollOver(rig, server, 'issuing2', 'next', 'newWithOld', 'oldWithNew');
  assert.is((await rig.submit(issuer, makeOrder())).kind, 'issued');
  assert.ok(rig.logged.some(({ message }) => message === 'trust anchor learned'));
});

test('reaches a server under a root that it has learned', async (context) => {
  const { rig } = partsOf(context);
  const credential = await rig.ca.makeLeaf('moved', { by: 'next' });
  const server = await rig.serve({ credential });
  rollOver(rig, server, 'issuing2', 'next');
  const source = { url: server.url, trustedCa: ['/root'] };
  const of = async (...files: readonly string[]) =>
    parseCertificatesPem(
      Buffer.from((await Promise.all(files.map((file) => rig.ca.certificate(file)))).join('')),
      'cacerts',
    );
  const vouchers = { trusted: [], now: new Date() };
  await rig.store.learn('hq', source, await of('root'), vouchers);
  const issuer = rig.issuer(server);
  const before = await rig.submit(issuer, makeOrder()).then(({ kind }) => kind, String);
  assert.match(before, 'does not verify');
  await rig.store.learn('hq', source, await of('next', 'newWithOld'), vouchers);
  assert.is((await rig.submit(issuer, makeOrder())).kind, 'issued');
});

for (const files of [['next'], ['next', 'oldWithNew']]) {
  test(`refuses a new root without NewWithOld: ${files.join(', ')}`, async (context) => {
    const { rig } = partsOf(context);
    const server = await rig.serve();
    const issuer = rig.issuer(server);
    await rig.submit(issuer, makeOrder());
    rollOver(rig, server, 'issuing2', ...files);
    const reason = reasonOf(await rig.submit(issuer, makeOrder()));
    assert.match(reason, `SHA-256 ${fingerprintOf(await rig.ca.certificate('next'))}`);
    assert.match(reason, 'issuers.hq.trusted_ca');
    assert.ok(rig.logged.some(({ message }) => message === 'trust anchor refused'));
  });
}

test('takes a rollover that was missed as a whole once the new root is configured', async (context) => {
  const { rig } = partsOf(context);
  const server = await rig.serve();
  await rig.submit(rig.issuer(server), makeOrder());
  rollOver(rig, server, 'issuing2', 'next');
  const trustedCa = ['/root', '/next'];
  const issuer = rig.issuer({ url: server.url, trustedCa });
  assert.is((await rig.submit(issuer, makeOrder())).kind, 'issued');
});

test('takes a new root that has been added to the file of trusted_ca', async (context) => {
  const { rig } = partsOf(context);
  const server = await rig.serve();
  const issuer = rig.issuer(server);
  await rig.submit(issuer, makeOrder());
  rollOver(rig, server, 'issuing2', 'next');
  const before = rig.files.get('/root') ?? '';
  rig.files.set('/root', before + (await rig.ca.certificate('next')));
  assert.is((await rig.submit(issuer, makeOrder())).kind, 'issued');
  rig.files.set('/root', before);
});

test('learns a root that came while an order was pending', async (context) => {
  const { rig } = partsOf(context);
  const server = await rig.serve();
  const issuer = rig.issuer(server);
  server.answers.set('simpleenroll', () => ({ status: 202 }));
  const order = makeOrder();
  const pending = await rig.submit(issuer, order);
  rollOver(rig, server, 'issuing2', 'next', 'newWithOld');
  const cookie = pending.kind === 'pending' ? pending.cookie : '';
  assert.is((await rig.submit(issuer, { ...order, cookie })).kind, 'issued');
  assert.equal(server.operations.slice(-2), ['simpleenroll', 'cacerts']);
});

test('says which file of trusted_ca is unreadable', async (context) => {
  const { rig } = partsOf(context);
  const server = await rig.serve();
  const issuer = rig.issuer({ url: server.url, trustedCa: ['/none'] });
  const pending = rig.submit(issuer, makeOrder());
  const error: unknown = await pending.catch((one: unknown) => one);
  assert.ok(isServiceError(error, 'Unavailable'));
  assert.match(String(error), 'issuers.hq.trusted_ca: /none');
});

test.run();
