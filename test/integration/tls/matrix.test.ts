/** Every kind of key in every version of TLS, let in by two servers that insist on a certificate. */
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import type { RequestListener } from 'node:http';
import { TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { HttpsClient } from '../../../src/service/https.ts';
import type { HttpsRequest } from '../../../src/service/https-message.ts';
import { MutualTlsServer } from '../../support/mutual-tls-server.ts';
import { Pki } from '../../support/pki.ts';
import { PrivateBus } from '../../support/private-bus.ts';
import { StrictServer } from '../../support/strict-server.ts';
import { type TestAlgorithm, TestKeys } from '../../support/test-keys.ts';

type Version = 'TLSv1.2' | 'TLSv1.3';
type Peer = AsyncDisposable & { readonly port: number };

const algorithms: readonly TestAlgorithm[] = [
  'ec-p256',
  'ec-p384',
  'rsa-2048',
  'rsa-3072',
  'ed25519',
];
const versions: readonly Version[] = ['TLSv1.2', 'TLSv1.3'];
const workerFile = fileURLToPath(new URL('../../support/tls-thread.js', import.meta.url));
const never = new AbortController().signal;

/** Answers as `s_server -www` does. */
const tellWhatWasSeen: RequestListener = ({ socket }, response) => {
  if (!(socket instanceof TLSSocket)) throw new TypeError('this is an https server');
  response.end(`Protocol : ${socket.getProtocol()}\n${String(socket.getPeerX509Certificate())}`);
};

const peers: Readonly<Record<string, (pki: Pki, version: Version) => Promise<Peer>>> = {
  "Node's server": (pki, version) =>
    MutualTlsServer.start(pki, { minVersion: version, maxVersion: version }, tellWhatWasSeen),
  s_server: (pki, version) => StrictServer.start(pki, version),
};

const test = suite<{
  bus?: PrivateBus;
  keys?: TestKeys;
  pki?: Pki;
  client?: HttpsClient;
  chains?: ReadonlyMap<string, string>;
}>('TLS matrix');

test.before(async (context) => {
  const bus = (context.bus = await PrivateBus.start());
  process.env['DBUS_SYSTEM_BUS_ADDRESS'] = bus.address; // where the provider looks
  const keys = (context.keys = await TestKeys.start(await bus.connect()));
  const pki = (context.pki = await Pki.create());
  const chains = new Map<string, string>();
  for (const algorithm of algorithms) {
    const { spki } = await keys.create(algorithm, algorithm);
    chains.set(algorithm, await pki.certify(algorithm, spki));
  }
  context.chains = chains;
  context.client = HttpsClient.start({ workerFile });
});

test.after(async ({ client, keys, pki, bus }) => {
  for (const part of [client, keys, pki, bus]) await part?.[Symbol.asyncDispose]();
});

test.before.each(({ keys }) => {
  if (keys !== undefined) keys.calls.length = 0;
});

for (const [name, start] of Object.entries(peers)) {
  for (const version of versions) {
    for (const algorithm of algorithms) {
      test(`${name} lets ${algorithm} in over ${version}`, async ({
        keys,
        pki,
        client,
        chains,
      }) => {
        if (!keys || !pki || !client || !chains) throw new Error('the rig was not set up');
        await using server = await start(pki, version);
        const chainPem = chains.get(algorithm) ?? '';
        const { spki } = keys.get(algorithm);
        const clientCertificate = { chainPem, keyId: algorithm, spki };
        const request = { ...requestTo(server, pki), clientCertificate };
        const { status, body } = await client.request(request, never);
        assert.is(status, 200);
        assert.match(body.toString(), new RegExp(`Protocol +: ${version}\n`));
        const [seen = ''] = /-----BEGIN CERT[^]*END CERTIFICATE-----/.exec(body.toString()) ?? [];
        assert.is(new X509Certificate(seen).subject, `CN=${algorithm}`);
        assert.is(keys.calls.length, 1);
        assert.is(keys.calls[0]?.keyId, algorithm);
        assert.is(keys.calls[0]?.prehashed, algorithm === 'ed25519' ? undefined : true);
      });
    }

    test(`${name} lets nobody in without a certificate over ${version}`, async ({
      pki,
      client,
    }) => {
      if (!pki || !client) throw new Error('the rig was not set up');
      await using server = await start(pki, version);
      const answer = client.request(requestTo(server, pki), never);
      const outcome = await answer.then(({ status }) => status, String);
      assert.match(String(outcome), 'localhost');
    });
  }
}

/** A certificate for the key `ec-p256` that has its public half in another form. */
async function certified(keys: TestKeys, pki: Pki, ...form: readonly string[]): Promise<string> {
  const { spki } = keys.get('ec-p256');
  const options = ['-pubin', '-inform', 'DER', '-outform', 'DER', ...form];
  const other = execFileSync('openssl', ['pkey', ...options], { input: spki, timeout: 20_000 });
  assert.not.equal(other, Buffer.from(spki));
  return pki.certify('other-form', other);
}

test('a key is let in whose certificate has its point compressed', async ({
  keys,
  pki,
  client,
}) => {
  if (!keys || !pki || !client) throw new Error('the rig was not set up');
  await using server = await MutualTlsServer.start(pki, {}, tellWhatWasSeen);
  const chainPem = await certified(keys, pki, '-ec_conv_form', 'compressed');
  const clientCertificate = { chainPem, keyId: 'ec-p256', spki: keys.get('ec-p256').spki };
  const { status } = await client.request({ ...requestTo(server, pki), clientCertificate }, never);
  assert.is(status, 200);
  assert.is(keys.calls.length, 1);
});

test('a certificate with explicit EC parameters is refused with the reason', async ({
  keys,
  pki,
  client,
}) => {
  if (!keys || !pki || !client) throw new Error('the rig was not set up');
  await using server = await MutualTlsServer.start(pki, {}, tellWhatWasSeen);
  const chainPem = await certified(keys, pki, '-ec_param_enc', 'explicit');
  const clientCertificate = { chainPem, keyId: 'ec-p256', spki: keys.get('ec-p256').spki };
  const answer = client.request({ ...requestTo(server, pki), clientCertificate }, never);
  const outcome = await answer.then(() => 'let in', String);
  assert.match(outcome, /the certificate has explicit EC parameters/);
});

function requestTo({ port }: Peer, pki: Pki): HttpsRequest {
  const url = `https://localhost:${port}/`;
  const ca = pki.root.certificate;
  return { method: 'GET', url, ca, requestId: 'test', timeoutMs: 20_000 };
}

test.run();
