import * as assert from 'uvu/assert';
import { isServiceError } from '../../../src/errors.ts';
import { parseCertificatesPem } from '../../../src/x509/certificate.ts';
import { requestInfoOf } from '../../../src/x509/csr.ts';
import { type EstRig, makeOrder, makeSigned, reasonOf } from '../../support/est/est-rig.ts';
import type { EstAnswer, EstServer, SeenRequest } from '../../support/est/est-server.ts';
import { estSuite, rigOf } from '../../support/est/est-suite.ts';

const test = estSuite('EST enrolment');

test('asks for CA certificates and attributes, then for a certificate with its chain', async (context) => {
  const rig = rigOf(context);
  const server = await rig.serve();
  const order = makeOrder();
  const answer = await rig.submit(rig.issuer(server), order);
  assert.equal(server.problems, []);
  assert.equal(server.operations, ['cacerts', 'csrattrs', 'simpleenroll']);
  if (answer.kind !== 'issued') throw new Error(reasonOf(answer));
  assert.equal(
    answer.chain.map(({ subjectText }) => subjectText),
    ['CN=edge,O=Contoso', 'CN=EST issuing'],
  );
  assert.ok(answer.chain[0]?.spki.equals(order.key.spki));
  const sent = server.requests.at(-1)?.csr ?? Buffer.alloc(0);
  assert.ok(requestInfoOf(sent).equals(order.request));
});

test('speaks TLS 1.2 and 1.3, below a label', async (context) => {
  const rig = rigOf(context);
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const server = await rig.serve({ version, label: 'iot' });
    const answer = await rig.submit(rig.issuer({ url: server.url, label: 'iot' }), makeOrder());
    assert.is(answer.kind, 'issued');
    assert.ok(server.requests.every(({ protocol }) => protocol === version));
    assert.is(server.requests[0]?.path, '/.well-known/est/iot/cacerts');
  }
});

/** Legal answers to an order, made of the plain one. */
const forms: Readonly<Record<string, (plain: EstAnswer) => EstAnswer>> = {
  'lines of 64 and LF': (plain) => ({ ...plain, body: inLines(plain, 64, '\n') }),
  'one line': (plain) => ({ ...plain, body: inLines(plain, 1e6, '') }),
  'lines of 5': (plain) => ({ ...plain, body: inLines(plain, 5, ' \n\n') }),
  'a NUL at its end': (plain) => ({ ...plain, body: `${String(plain.body)}\0` }),
  'PEM armour': (plain) => ({
    ...plain,
    body: `-----BEGIN PKCS7-----\n${inLines(plain, 64, '\n')}-----END PKCS7-----\n`,
  }),
  'plain DER': (plain) => ({ ...plain, body: Buffer.from(String(plain.body), 'base64') }),
  'BER with indefinite lengths': (plain) => ({
    ...plain,
    body: indefinite(Buffer.from(String(plain.body), 'base64')).toString('base64'),
  }),
  chunks: (plain) => ({ ...plain, isChunked: true }),
  'no headers': (plain) => ({ ...plain, headers: {} }),
  'a type in other letters with parameters': (plain) => ({
    ...plain,
    headers: { 'Content-Type': 'Application/PKCS7-Mime; smime-type="certs-only"; name=x.p7c' },
  }),
};

function inLines({ body }: EstAnswer, length: number, end: string): string {
  const text = String(body).replace(/\s/g, '');
  return `${text.replace(new RegExp(`.{1,${length}}`, 'g'), `$&${end}`)}`;
}

/** Gives the outer three constructed elements indefinite lengths, as Bouncy Castle does. */
function indefinite(der: Buffer): Buffer {
  const header = (bytes: Buffer): number =>
    (bytes[1] ?? 0) < 0x80 ? 2 : 2 + ((bytes[1] ?? 0) & 0x7f);
  const open = (bytes: Buffer, depth: number): Buffer => {
    const content = bytes.subarray(header(bytes));
    const inner = depth === 0 ? content : rewrite(content, depth);
    return Buffer.concat([Buffer.from([bytes[0] ?? 0, 0x80]), inner, Buffer.from([0, 0])]);
  };
  // the OID comes first, the content after it
  const rewrite = (content: Buffer, depth: number): Buffer => {
    const skipped = depth === 2 ? 2 + (content[1] ?? 0) : 0;
    return Buffer.concat([
      content.subarray(0, skipped),
      open(content.subarray(skipped), depth - 1),
    ]);
  };
  return open(der, 2);
}

for (const [name, form] of Object.entries(forms)) {
  test(`takes an answer in the form: ${name}`, async (context) => {
    const rig = rigOf(context);
    const server = await rig.serve();
    server.answers.set('simpleenroll', async ({ csr }) => form(await server.issued(csr)));
    server.answers.set('cacerts', async () =>
      form(
        await server.certificates(
          await rig.ca.certificate('issuing'),
          await rig.ca.certificate('root'),
        ),
      ),
    );
    const answer = await rig.submit(rig.issuer(server), makeOrder());
    assert.is(answer.kind, 'issued');
  });
}

test('finds its certificate among others in any order', async (context) => {
  const rig = rigOf(context);
  const server = await rig.serve();
  const [root, issuing] = [await rig.ca.certificate('root'), await rig.ca.certificate('issuing')];
  server.answers.set('cacerts', () => server.certificates(root, root));
  server.answers.set('simpleenroll', async ({ csr = Buffer.alloc(0) }) =>
    server.certificates(root, issuing, await rig.ca.issue(csr)),
  );
  const answer = await rig.submit(rig.issuer(server), makeOrder());
  assert.is(answer.kind === 'issued' && answer.chain.length, 2);
});

test('leaves it to the order whether what lives no longer than its predecessor is taken', async (context) => {
  const rig = rigOf(context);
  const server = await rig.serve();
  const { certificate } = await rig.ca.makeLeaf('before', { days: 60 });
  const chain = parseCertificatesPem(Buffer.from(certificate), 'before');
  const order = makeOrder({ renewed: { chain, keyId: '' } });
  const answer = await rig.submit(rig.issuer(server), order);
  // an imported one may live longer, and a renewal that is too short is asked for again
  assert.is(answer.kind, 'issued');
});

test('takes a certificate from a server that sends its issuing CA only', async (context) => {
  const rig = rigOf(context);
  const server = await rig.serve();
  server.answers.set('cacerts', async () =>
    server.certificates(await rig.ca.certificate('issuing')),
  );
  const answer = await rig.submit(rig.issuer(server), makeOrder());
  assert.is(answer.kind, 'issued');
});

test('asks again for a pending order with the same request at the same URL', async (context) => {
  const rig = rigOf(context);
  const server = await rig.serve();
  const pending = { status: 202, headers: { 'retry-after': '600' } };
  server.answers.set('simpleenroll', () => pending);
  const issuer = rig.issuer(server);
  const order = makeOrder();
  const first = await rig.submit(issuer, order);
  assert.equal([first.kind, 'retryAfterS' in first && first.retryAfterS], ['pending', 600]);
  const cookie = first.kind === 'pending' ? first.cookie : '';
  const csr = server.requests.at(-1)?.csr ?? Buffer.alloc(0);
  server.answers.clear();
  server.requests.length = 0;
  const second = await rig.submit(issuer, { ...order, cookie });
  assert.is(second.kind, 'issued');
  assert.equal(server.operations, ['simpleenroll']);
  assert.ok(server.requests[0]?.csr?.equals(csr));
});

test('repeats the request of a pending order that a former version has sent', async (context) => {
  const rig = rigOf(context);
  const server = await rig.serve();
  const order = await makeSigned();
  const cookie = `${server.url}/.well-known/est/simpleenroll`;
  assert.is((await rig.submit(rig.issuer(server), { ...order, cookie })).kind, 'issued');
  assert.equal(server.operations, ['simpleenroll', 'cacerts']);
  assert.ok(server.requests[0]?.csr?.equals(order.request));
});

test('takes 202 without a length, which ends by closing', async (context) => {
  const rig = rigOf(context);
  const server = await rig.serve();
  server.answers.set('simpleenroll', () => ({
    raw: (socket) => void socket.end('HTTP/1.1 202 Accepted\r\nRetry-After: 0\r\n\r\n'),
  }));
  const answer = await rig.submit(rig.issuer(server), makeOrder());
  assert.equal(
    [answer.kind, 'retryAfterS' in answer && answer.retryAfterS],
    ['pending', undefined],
  );
});

test('follows a redirect by 307 to the same origin, and no other', async (context) => {
  const rig = rigOf(context);
  const server = await rig.serve();
  const to = (status: number, location: string) => () => ({ status, headers: { location } });
  server.answers.set('/elsewhere', ({ csr }: SeenRequest) => server.issued(csr));
  const submit = async (answer: () => EstAnswer): Promise<string> => {
    server.answers.set('simpleenroll', answer);
    const { kind, ...rest } = await rig.submit(rig.issuer(server), makeOrder());
    return 'reason' in rest ? rest.reason : kind;
  };
  // what is not an operation is answered by the whole path
  assert.is(await submit(to(307, '/elsewhere')), 'issued');
  assert.match(await submit(to(302, '/elsewhere')), 'status 302');
  assert.match(await submit(to(307, `http://localhost:${server.port}/elsewhere`)), 'status 307');
  assert.match(await submit(to(307, 'https://localhost:1/elsewhere')), 'status 307');
});

const rejections: readonly (readonly [number, string, string, number | undefined])[] = [
  [400, 'text/plain', 'CSR Attributes missing in request.\nmore', undefined],
  [403, 'text/plain', '403 not you', 3600],
  [404, 'text/html', '<html>CSR</html>', undefined],
  [409, 'application/problem+json', '{"detail":"CSR has an old key"}', undefined],
  [422, 'text/plain', 'CSR \u001b[31mred\u0007', undefined],
  [204, '', '', undefined],
];

for (const [status, type, body, retryAfterS] of rejections) {
  test(`rejects an order on status ${status} with the first line of its text`, async (context) => {
    const rig = rigOf(context);
    const server = await rig.serve();
    server.answers.set('simpleenroll', () => ({ status, headers: { 'content-type': type }, body }));
    const answer = await rig.submit(rig.issuer(server), makeOrder());
    const { isFinal, ...rest } = answer as Extract<typeof answer, { kind: 'rejected' }>;
    assert.equal([answer.kind, isFinal, rest.retryAfterS], ['rejected', false, retryAfterS]);
    assert.match(rest.reason, `status ${status}`);
    assert.is(/[<\p{Cc}]|more/u.test(rest.reason), false);
    assert.is(rest.reason.includes('CSR'), /^CSR|json/.test(body + type));
  });
}

for (const status of [429, 500, 502, 503, 504]) {
  test(`is Unavailable on status ${status}`, async (context) => {
    const rig = rigOf(context);
    const server = await rig.serve();
    server.answers.set('simpleenroll', () => ({ status, body: 'busy' }));
    const error = await failureOf(rig, server);
    assert.ok(isServiceError(error, 'Unavailable'));
    assert.match(String(error), `status ${status}: busy`);
  });
}

for (const [operation, status] of [
  ['cacerts', 429],
  ['csrattrs', 503],
  ['simpleenroll', 429],
  ['simpleenroll', 503],
] as const) {
  test(`asks again when ${operation} says, on status ${status}`, async (context) => {
    const rig = rigOf(context);
    const server = await rig.serve();
    const headers = { 'retry-after': '900' };
    server.answers.set(operation, () => ({ status, headers, body: 'busy' }));
    const answer = await rig.submit(rig.issuer(server), makeOrder());
    assert.match(reasonOf(answer), `status ${status}: busy`);
    const { isFinal, retryAfterS } = answer as Extract<typeof answer, { kind: 'rejected' }>;
    assert.equal([isFinal, retryAfterS], [false, 900]);
    assert.is(server.operations.at(-1), operation);
  });
}

test('has no time to ask again from a Retry-After that is none', async (context) => {
  const rig = rigOf(context);
  const server = await rig.serve();
  server.answers.set('cacerts', () => ({ status: 503, headers: { 'retry-after': 'soon' } }));
  assert.ok(isServiceError(await failureOf(rig, server), 'Unavailable'));
  assert.equal(server.operations, ['cacerts']);
});

test('asks a busy server nothing more', async (context) => {
  const rig = rigOf(context);
  const server = await rig.serve();
  const issuer = rig.issuer(server);
  await rig.submit(issuer, makeOrder());
  server.requests.length = 0;
  server.answers.set('cacerts', () => ({ status: 429 }));
  assert.ok(isServiceError(await failureOf(rig, server), 'Unavailable'));
  assert.equal(server.operations, ['cacerts']);
});

test('goes on without an answer of cacerts when anchors were taught', async (context) => {
  const rig = rigOf(context);
  const server = await rig.serve();
  server.answers.set('cacerts', () => ({ status: 404 }));
  assert.match(reasonOf(await rig.submit(rig.issuer(server), makeOrder())), 'cacerts');
  assert.equal(server.operations, ['cacerts']);
  server.answers.clear();
  const issuer = rig.issuer(server);
  await rig.submit(issuer, makeOrder());
  server.answers.set('cacerts', () => ({ body: '<html>' }));
  assert.is((await rig.submit(issuer, makeOrder())).kind, 'issued');
});

async function failureOf(rig: EstRig, server: EstServer): Promise<unknown> {
  return rig.submit(rig.issuer(server), makeOrder()).then(
    ({ kind }) => new Error(kind),
    (error: unknown) => error,
  );
}

test.run();
