/** How an EST client without a certificate authenticates, and what it takes for a refusal. */
import * as assert from 'uvu/assert';
import { isServiceError } from '../../../src/errors.ts';
import { EstCa } from '../../support/est/est-ca.ts';
import { makeOrder, reasonOf } from '../../support/est/est-rig.ts';
import { estSuite, rigOf } from '../../support/est/est-suite.ts';
import { ScriptedPort } from '../../support/est/scripted-port.ts';

const test = estSuite('EST authentication');
const basic = { username: 'edge', passwordFile: '/password' };

test('sends the password with every request', async (context) => {
  const rig = rigOf(context);
  const server = await rig.serve({ basic: 'edge:secret' });
  const answer = await rig.submit(rig.issuer({ url: server.url, ...basic }), makeOrder());
  assert.is(answer.kind, 'issued');
  const expected = `Basic ${Buffer.from('edge:secret').toString('base64')}`;
  assert.equal(
    server.requests.map(({ authorization }) => authorization),
    [expected, expected, expected],
  );
});

test('sends no password to a server whose certificate does not verify', async (context) => {
  const rig = rigOf(context);
  await using other = await EstCa.create('other');
  const credential = await other.makeLeaf('server');
  const server = await rig.serve({ basic: 'edge:secret', credential });
  const issuer = rig.issuer({ url: server.url, ...basic });
  const error: unknown = await rig.submit(issuer, makeOrder()).catch((one: unknown) => one);
  assert.ok(isServiceError(error, 'Unavailable'));
  assert.equal(server.requests, []);
});

test('ends the attempt when the password is wrong', async (context) => {
  const rig = rigOf(context);
  const server = await rig.serve({ basic: 'edge:other' });
  const answer = await rig.submit(rig.issuer({ url: server.url, ...basic }), makeOrder());
  assert.match(reasonOf(answer), 'does not accept the user name and the password');
  assert.is(answer.kind === 'rejected' && answer.retryAfterS, 3600);
  assert.equal(server.operations, ['cacerts']);
});

test('keeps a password that the server repeats out of its reason', async (context) => {
  const rig = rigOf(context);
  const server = await rig.serve({ basic: 'edge:secret' });
  server.answers.set('simpleenroll', ({ authorization = '' }) => ({
    status: 403,
    headers: { 'content-type': 'text/plain' },
    body: `not for ${authorization}`,
  }));
  const answer = await rig.submit(rig.issuer({ url: server.url, ...basic }), makeOrder());
  const reason = reasonOf(answer);
  assert.match(reason, 'not for');
  assert.not.match(reason, Buffer.from('edge:secret').toString('base64'));
});

test('says which settings are missing when a password is wanted', async (context) => {
  const rig = rigOf(context);
  const server = await rig.serve({ basic: 'edge:secret' });
  const answer = await rig.submit(rig.issuer(server), makeOrder());
  assert.match(reasonOf(answer), 'username and password_file');
  assert.is(answer.kind === 'rejected' && answer.retryAfterS, 3600);
});

test('does not answer Digest with Basic', async (context) => {
  const rig = rigOf(context);
  const server = await rig.serve();
  const headers = { 'www-authenticate': 'Digest realm="r", qop="auth", nonce="n"' };
  server.answers.set('cacerts', () => ({ status: 401, headers }));
  const answer = await rig.submit(rig.issuer({ url: server.url, ...basic }), makeOrder());
  assert.match(reasonOf(answer), 'Digest authentication, which is not supported');
});

test('takes 401 without a challenge as the wish for another client certificate', async (context) => {
  const rig = rigOf(context);
  const server = await rig.serve();
  server.answers.set('cacerts', () => ({ status: 401 }));
  const issuer = rig.issuer({ url: server.url, ...basic, bootstrap: 'factory' });
  const answer = await rig.submit(issuer, makeOrder());
  const reason = reasonOf(answer);
  assert.match(reason, 'the server wants another client certificate');
  assert.match(reason, 'the password alone, "factory" (which does not exist, or has no key)');
  assert.is(answer.kind === 'rejected' && answer.retryAfterS, 3600);
  assert.equal(server.operations, ['cacerts']);
});

for (const alert of [40, 42, 43, 45, 46, 48, 49, 116]) {
  test(`takes the alert ${alert} as the wish for another client certificate`, async (context) => {
    const rig = rigOf(context);
    await using port = await ScriptedPort.start({ alert });
    const answer = await rig.submit(rig.issuer(port), makeOrder());
    assert.match(reasonOf(answer), 'wants another client certificate: offered no certificate');
    assert.is(port.connections, 1);
  });
}

test('is stuck when its certificate is revoked', async (context) => {
  const rig = rigOf(context);
  await using port = await ScriptedPort.start({ alert: 44 });
  const answer = await rig.submit(rig.issuer(port), makeOrder());
  assert.match(reasonOf(answer), 'revoked');
  assert.ok(answer.kind === 'rejected' && answer.isFinal);
});

test('ends the attempt on another alert', async (context) => {
  const rig = rigOf(context);
  await using port = await ScriptedPort.start({ alert: 80 });
  const pending = rig.submit(rig.issuer(port), makeOrder());
  const error: unknown = await pending.catch((one: unknown) => one);
  assert.ok(isServiceError(error, 'Unavailable'));
  assert.not.match(String(error), 'client certificate');
  assert.is(port.connections, 1);
});

test('tries again after one close', async (context) => {
  const rig = rigOf(context);
  const server = await rig.serve();
  await using port = await ScriptedPort.start({ closes: true }, { port: server.port });
  assert.is((await rig.submit(rig.issuer(port), makeOrder())).kind, 'issued');
});

test('is Unavailable when a server only closes connections', async (context) => {
  const rig = rigOf(context);
  await using port = await ScriptedPort.start({ closes: true });
  const pending = rig.submit(rig.issuer(port), makeOrder());
  const error: unknown = await pending.catch((one: unknown) => one);
  assert.ok(isServiceError(error, 'Unavailable'));
  assert.match(String(error), 'wants another client certificate');
  assert.is(port.connections, 2);
});

test.run();
