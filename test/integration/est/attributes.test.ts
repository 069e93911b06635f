/** What the client does about the attributes that an EST server wants in requests. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { EstRig, makeOrder, reasonOf } from '../../support/est/est-rig.ts';
import type { EstAnswer } from '../../support/est/est-server.ts';

const test = suite<{ rig?: EstRig }>('EST attributes');
const libest = 'MCYGBysGAQEBARYGCSqGSIb3DQEJAQYFK4EEACIGCWCGSAFlAwQCAg==\0';
const rfc7030 =
  'MEEGCSqGSIb3DQEJBwYIKoZIzj0EAwMwFgYJKoZIhvcNAQkOMQkGBysGAQEBARYwEgYHKoZIzj0CATEHBgUrgQQAIg==';

test.before(async (context) => {
  context.rig = await EstRig.start();
});

test.after(async ({ rig }) => {
  await rig?.[Symbol.asyncDispose]();
});

test.after.each(async ({ rig }) => {
  await rig?.reset();
});

function rigOf({ rig }: { rig?: EstRig }): EstRig {
  if (rig === undefined) throw new Error('the rig was not set up');
  return rig;
}

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
    assert.is((await rig.submit(rig.issuer(server), await makeOrder())).kind, 'issued');
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
  assert.is((await rig.submit(issuer, await makeOrder())).kind, 'issued');
  const record = rig.logged.find(({ message }) => message === 'attributes left out');
  const attributes = 'macAddress, emailAddress, secp384r1, SHA-384';
  assert.equal(record?.fields, { issuer: 'hq', certificateId: 'edge', attributes });
  server.answers.set('simpleenroll', () => ({ status: 400, body: 'CSR Attributes missing' }));
  const reason = reasonOf(await rig.submit(issuer, await makeOrder()));
  assert.match(reason, `CSR Attributes missing; the server also wants ${attributes}`);
});

test('keeps when to come back of an order that fails so', async (context) => {
  const rig = rigOf(context);
  const server = await rig.serve();
  server.answers.set('csrattrs', () => ({ body: libest }));
  server.answers.set('simpleenroll', () => ({ status: 403 }));
  const answer = await rig.submit(rig.issuer(server), await makeOrder());
  assert.is(answer.kind === 'rejected' && answer.retryAfterS, 3600);
});

test('does not send an order that has to have a challengePassword', async (context) => {
  const rig = rigOf(context);
  const server = await rig.serve();
  server.answers.set('csrattrs', () => ({ body: rfc7030 }));
  const answer = await rig.submit(rig.issuer(server), await makeOrder());
  assert.match(reasonOf(answer), 'challengePassword');
  assert.equal(server.operations, ['cacerts', 'csrattrs']);
});

test('asks for no attributes when they are ignored', async (context) => {
  const rig = rigOf(context);
  const server = await rig.serve();
  const issuer = rig.issuer({ url: server.url, csrattrs: 'ignore' });
  assert.is((await rig.submit(issuer, await makeOrder())).kind, 'issued');
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
    assert.is((await rig.submit(rig.issuer(server), await makeOrder())).kind, 'issued');
    assert.ok(rig.logged.some(({ message }) => message === 'csrattrs failed'));
  });
}

test('ends the attempt when attributes are forbidden', async (context) => {
  const rig = rigOf(context);
  const server = await rig.serve();
  server.answers.set('csrattrs', () => ({ status: 403 }));
  const answer = await rig.submit(rig.issuer(server), await makeOrder());
  assert.match(reasonOf(answer), 'csrattrs: status 403');
});

test.run();
