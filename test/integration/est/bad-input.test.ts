/** Answers of an EST server that are wrong: each is an error that names it, and nothing is kept. */
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { describeError, isServiceError } from '../../../src/errors.ts';
import { deadline, soon } from '../../support/deadline.ts';
import { type EstRig, makeOrder } from '../../support/est/est-rig.ts';
import type { EstAnswer, EstServer, SeenRequest } from '../../support/est/est-server.ts';
import { estSuite } from '../../support/est/est-suite.ts';

const test = estSuite('EST bad input');

interface Parts {
  readonly rig: EstRig;
  readonly server: EstServer;
  readonly csr: Buffer;
}

/** What became of an order: `rejected: reason`, `Unavailable: message` or `issued`. */
async function outcomeOf(
  { rig }: { rig?: EstRig },
  answer: (parts: Parts) => EstAnswer | Promise<EstAnswer>,
  { operation = 'simpleenroll', timeoutMs = 20_000, signal = soon() } = {},
): Promise<string> {
  if (rig === undefined) throw new Error('the rig was not set up');
  const server = await rig.serve();
  const make = ({ csr = Buffer.alloc(0) }: SeenRequest) => answer({ rig, server, csr });
  server.answers.set(operation, make);
  const issuer = rig.issuer({ url: server.url, timeoutMs });
  try {
    const given = await rig.submit(issuer, makeOrder(), signal);
    return given.kind === 'rejected' ? `rejected: ${given.reason}` : given.kind;
  } catch (error) {
    if (!isServiceError(error)) throw error;
    return `${error.code}: ${describeError(error)}`;
  }
}

const ok = 'HTTP/1.1 200 OK\r\n';
const bodies: Readonly<Record<string, readonly [EstAnswer, RegExp]>> = {
  HTML: [{ body: '<html><body>Login</body></html>' }, /^Unavailable: .*is HTML/],
  'HTML that is called PKCS#7': [
    { headers: { 'content-type': 'application/pkcs7-mime' }, body: '\n<!DOCTYPE html>' },
    /^Unavailable: .*is HTML/,
  ],
  'an empty body': [{ body: '' }, /^Unavailable: .*is empty/],
  'base64 with a percent sign': [{ body: 'MIIB%AAA' }, /^Unavailable: .*is not base64/],
  'base64 of the other alphabet': [{ body: 'MIIB-_AA' }, /^Unavailable: .*is not base64/],
  'base64 without padding': [{ body: 'MIIBA' }, /^Unavailable: .*is not base64/],
  'base64 of a text': [{ body: 'aGVsbG8=' }, /^Unavailable: .*is not PKCS#7/],
  'a private key': [
    { body: '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n' },
    /^Unavailable: .*private key/,
  ],
  'half of an answer': [
    { raw: (socket) => void socket.end(`${ok}Content-Length: 1000\r\n\r\nMIIB`) },
    /^Unavailable: .*ECONNRESET/,
  ],
  'half of a header': [{ raw: (socket) => void socket.end('HTTP/1.1 200 O') }, /^Unavailable: /],
  'a header line without CR': [
    { raw: (socket) => void socket.end('HTTP/1.1 200 OK\nContent-Length: 0\n\n') },
    /^Unavailable: .*HPE_/,
  ],
  'headers of 64 KiB': [
    { raw: (socket) => void socket.end(`${ok}X: ${'x'.repeat(64 << 10)}\r\n\r\n`) },
    /^Unavailable: .*HPE_HEADER_OVERFLOW/,
  ],
  'a body of 257 KiB': [{ body: Buffer.alloc(257 << 10, 'A') }, /^Unavailable: .*EMSGSIZE/],
  'a compressed body': [
    { headers: { 'content-encoding': 'gzip' }, body: 'MIIB' },
    /^Unavailable: .*content encoding gzip/,
  ],
  'a redirect to http': [
    { status: 307, headers: { location: 'http://localhost/' } },
    /^rejected: .*status 307/,
  ],
};

for (const [name, [answer, expected]] of Object.entries(bodies)) {
  test(`refuses ${name}`, async (context) => {
    assert.match(await outcomeOf(context, () => answer), expected);
  });
  test(`refuses ${name} from cacerts`, async (context) => {
    const operation = 'cacerts';
    assert.match(await outcomeOf(context, () => answer, { operation }), expected);
  });
}

test('refuses 100 MiB without reading them', async (context) => {
  let sent = 0;
  const outcome = await outcomeOf(context, () => ({
    raw: (socket) => {
      const chunk = Buffer.alloc(1 << 20, 'A');
      const write = (error?: Error | null): void => {
        if (sent >= 100 || error || socket.destroyed) return;
        sent++;
        socket.write(chunk, write);
      };
      socket.on('error', () => undefined);
      socket.write(`${ok}Content-Length: ${100 << 20}\r\n\r\n`, write);
    },
  }));
  assert.match(outcome, /^Unavailable: .*EMSGSIZE/);
  assert.ok(sent < 50, `${sent} MiB were read`);
});

test('gives up on a byte a moment at its deadline', async (context) => {
  // the only deadline is that of the settings
  const { signal } = new AbortController();
  const outcome = outcomeOf(
    context,
    () => ({
      raw: (socket) => {
        socket.on('error', () => undefined);
        socket.write(`${ok}Content-Length: 1000\r\n\r\n`);
        const timer = setInterval(() => socket.write('A'), 50);
        socket.on('close', () => clearInterval(timer));
      },
    }),
    { timeoutMs: 1000, signal },
  );
  assert.match(await deadline(20_000, outcome, 'the outcome'), /^Unavailable: .*ETIMEDOUT/);
});

test('has one deadline for a request and its redirects', async (context) => {
  const location = '/.well-known/est/simpleenroll';
  let count = 0;
  const answer = async ({ server, csr }: Parts): Promise<EstAnswer> => {
    await setTimeout(700);
    return ++count < 3 ? { status: 307, headers: { location } } : server.issued(csr);
  };
  assert.match(await outcomeOf(context, answer, { timeoutMs: 1000 }), /^Unavailable: .*ETIMEDOUT/);
});

test('has a deadline that setting the clock does not change', async (context) => {
  const { now } = Date;
  const location = '/.well-known/est/simpleenroll';
  const answer = ({ server, csr }: Parts): EstAnswer | Promise<EstAnswer> => {
    if (Date.now !== now) return server.issued(csr);
    Date.now = () => now() + 86_400_000;
    return { status: 307, headers: { location } };
  };
  try {
    assert.is(await outcomeOf(context, answer), 'issued');
  } finally {
    Date.now = now;
  }
});

test('follows redirects only so far', async (context) => {
  const location = '/.well-known/est/simpleenroll';
  const outcome = await outcomeOf(context, () => ({ status: 307, headers: { location } }));
  assert.match(outcome, /^rejected: .*status 307/);
});

const certificates: Readonly<
  Record<string, readonly [(parts: Parts) => Promise<EstAnswer>, RegExp]>
> = {
  'for another key': [
    async ({ rig, server, csr }) => {
      const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const pem = createPublicKey(publicKey.export({ type: 'spki', format: 'pem' }));
      const text = pem.export({ type: 'spki', format: 'pem' }).toString();
      return server.certificates(await rig.ca.issue(csr, { publicKey: text }));
    },
    /^rejected: none of the 1 issued certificates is for the key/,
  ],
  'of the CA alone': [
    async ({ rig, server }) => server.certificates(await rig.ca.certificate('issuing')),
    /^rejected: none of the 1/,
  ],
  'with another CN': [
    async ({ rig, server, csr }) =>
      server.certificates(await rig.ca.issue(csr, { subject: '/CN=other' })),
    /^rejected: .*common name "other"/,
  ],
  'signed with SHA-1': [
    async ({ rig, server, csr }) =>
      server.certificates(await rig.ca.issue(csr, { digest: 'sha1' })),
    /^rejected: .*ecdsa-sha1/,
  ],
  'that is expired': [
    async ({ rig, server, csr }) => server.certificates(await rig.ca.issue(csr, { days: -1 })),
    /^rejected: .*has expired/,
  ],
  'with a name that was not ordered': [
    async ({ rig, server, csr }) => {
      const text = 'subjectAltName=DNS:edge.example,DNS:other.example\n';
      return server.certificates(await rig.ca.issue(csr, { extensions: text }));
    },
    /^rejected: .*the name "dns:other.example", which was not ordered/,
  ],
  'with a critical extension that is unknown': [
    async ({ rig, server, csr }) => {
      const text = 'subjectAltName=DNS:edge.example\n1.2.3.4=critical,ASN1:UTF8String:x\n';
      return server.certificates(await rig.ca.issue(csr, { extensions: text }));
    },
    /^rejected: .*critical extension/,
  ],
  'whose chain leads to another root': [
    async ({ rig, server, csr }) => {
      await rig.ca.makeRoot('stray', '/CN=stray root');
      const pem = await rig.ca.issue(csr, { by: 'stray' });
      return server.certificates(pem, await rig.ca.certificate('stray'));
    },
    /^rejected: .*no trust anchor/,
  ],
  'bare, not in PKCS#7': [
    async ({ rig, csr }) => ({
      body: (await rig.ca.issue(csr)).replace(/-----.*-----/g, '').trim(),
    }),
    /^Unavailable: .*is not PKCS#7/,
  ],
};

for (const [name, [answer, expected]] of Object.entries(certificates)) {
  test(`refuses a certificate ${name}`, async (context) => {
    assert.match(await outcomeOf(context, answer), expected);
  });
}

test('refuses cacerts without a CA', async (context) => {
  const operation = 'cacerts';
  const answer = async ({ server, rig }: Parts) =>
    server.certificates((await rig.ca.makeLeaf('stray', { subject: '/CN=stray' })).certificate);
  const outcome = await outcomeOf(context, answer, { operation });
  assert.match(outcome, /^rejected: .*no CA certificates/);
});

test.run();
