/** What is reported of an order that was pending: the same as of one that is answered at once. */
import * as assert from 'uvu/assert';
import { encode, oid, sequence } from '../../../src/x509/der/asn1.ts';
import { makeOrder, reasonOf } from '../../support/est/est-rig.ts';
import type { SeenRequest } from '../../support/est/est-server.ts';
import { estSuite, rigOf } from '../../support/est/est-suite.ts';

const test = estSuite('pending orders with EST');
/** As of libest: macAddress, emailAddress, secp384r1 and SHA-384, and one of a challengePassword and macAddress. */
const wanted = 'MCYGBysGAQEBARYGCSqGSIb3DQEJAQYFK4EEACIGCWCGSAFlAwQCAg==';
const wantedBound = encode(sequence(oid('1.2.840.113549.1.9.7'), oid('1.3.6.1.1.1.1.22'))).toString(
  'base64',
);

for (const isBound of [false, true]) {
  const bound = isBound ? ', bound to its connection,' : '';
  test(`name what a request${bound} lacks when they fail`, async (context) => {
    const rig = rigOf(context);
    const server = await rig.serve({ wantsTlsUnique: isBound });
    server.answers.set('csrattrs', () => ({ body: isBound ? wantedBound : wanted }));
    server.answers.set('simpleenroll', () => ({ status: 202 }));
    const order = makeOrder();
    const issuer = rig.issuer(server);
    let cookie: string | undefined;
    for (let count = 0; count < 2; count++) {
      const answer = await rig.submit(issuer, { ...order, cookie });
      if (answer.kind !== 'pending') throw new Error(reasonOf(answer));
      cookie = answer.cookie;
    }
    server.answers.set('simpleenroll', () => ({ status: 400, body: 'CSR Attributes missing' }));
    const reason = reasonOf(await rig.submit(issuer, { ...order, cookie }));
    const names = isBound ? 'macAddress' : 'macAddress, emailAddress, secp384r1';
    assert.is(
      reason,
      `the order: status 400: CSR Attributes missing; the server also wants ${names}, which was left out`,
    );
    assert.is(server.operations.filter((one) => one === 'csrattrs').length, 1);
  });
}

test('wait until the date of Retry-After by the clock of the server', async (context) => {
  const rig = rigOf(context);
  const server = await rig.serve();
  const headers = {
    date: 'Sun, 06 Nov 1994 08:49:37 GMT',
    'retry-after': 'Sun, 06 Nov 1994 09:49:37 GMT',
  };
  server.answers.set('simpleenroll', () => ({ status: 202, headers }));
  const answer = await rig.submit(rig.issuer(server), makeOrder());
  assert.is(answer.kind === 'pending' && answer.retryAfterS, 3600);
});

test('log names that the CA has left out of the certificate', async (context) => {
  const rig = rigOf(context);
  const server = await rig.serve();
  const issuer = rig.issuer(server);
  const issue = async ({ csr = Buffer.alloc(0) }: SeenRequest) =>
    server.certificates(await rig.ca.issue(csr, { subject: '/CN=edge' }));
  const remarks = () =>
    rig.logged.flatMap(({ message, fields }) =>
      message === 'certificate differs from its order' ? [fields] : [],
    );
  server.answers.set('simpleenroll', issue);
  assert.is((await rig.submit(issuer, makeOrder())).kind, 'issued');
  const direct = remarks();
  assert.is(direct.length, 1);
  server.answers.set('simpleenroll', () => ({ status: 202 }));
  const order = makeOrder();
  const pending = await rig.submit(issuer, order);
  if (pending.kind !== 'pending') throw new Error(reasonOf(pending));
  assert.equal(remarks(), direct);
  server.answers.set('simpleenroll', issue);
  const answer = await rig.submit(issuer, { ...order, cookie: pending.cookie });
  assert.is(answer.kind, 'issued');
  assert.equal(remarks(), [...direct, ...direct]);
});

test.run();
