/** Every kind of key of the Keys service in every version of TLS, accepted by two servers that require a certificate. */
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import type { RequestListener } from 'node:http';
import { TLSSocket } from 'node:tls';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { HttpsClient } from '../../../src/https/https-client.ts';
import type { HttpsRequest } from '../../../src/https/https-request.ts';
import { pairAlgorithms } from '../../../src/interfaces/enumerations.ts';
import { ServedKeys } from '../../support/keys/served-keys.ts';
import { MutualTlsServer } from '../../support/tls/mutual-tls-server.ts';
import { Pki } from '../../support/tls/pki.ts';
import { StrictServer } from '../../support/tls/strict-server.ts';

type Version = 'TLSv1.2' | 'TLSv1.3';
type Peer = AsyncDisposable & { readonly port: number };

/** How each kind of key signs a handshake: the curve decides only in TLS 1.3, where PKCS #1 v1.5 is not allowed. */
const schemes = {
  'TLSv1.2': {
    ec: /^ecdsa-sha(256|384|512)$/,
    rsa: /^rsa-(pss|pkcs1)-sha(256|384|512)$/,
    ed: /^ed25519$/,
  },
  'TLSv1.3': { ec: /^ecdsa-sha(256|384|512)$/, rsa: /^rsa-pss-sha(256|384|512)$/, ed: /^ed25519$/ },
} as const;
const versions: readonly Version[] = ['TLSv1.2', 'TLSv1.3'];
const never = new AbortController().signal;

/** Replies like `s_server -www`. */
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
  keys?: ServedKeys;
  pki?: Pki;
  client?: HttpsClient;
  chains?: ReadonlyMap<string, string>;
}>('TLS matrix');

test.before(async (context) => {
  const keys = (context.keys = await ServedKeys.start());
  process.env['DBUS_SYSTEM_BUS_ADDRESS'] = keys.address; // where the provider connects
  const pki = (context.pki = await Pki.create());
  const chains = new Map<string, string>();
  for (const algorithm of pairAlgorithms) {
    const { spki } = await keys.create(algorithm, algorithm);
    chains.set(algorithm, await pki.certify(algorithm, spki));
  }
  context.chains = chains;
  context.client = new HttpsClient();
});

test.after(async ({ client, keys, pki }) => {
  for (const part of [client, keys, pki]) await part?.[Symbol.asyncDispose]();
});

test.before.each(({ keys }) => keys?.calls.clear());

for (const [name, start] of Object.entries(peers)) {
  for (const version of versions) {
    for (const algorithm of pairAlgorithms) {
      test(`${name} accepts ${algorithm} over ${version}`, async ({
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
        const calls = await keys.calls.all();
        assert.is(calls.length, 1);
        assert.is(calls[0]?.keyId, algorithm);
        assert.match(calls[0]?.mechanism ?? '', schemes[version][kindOf(algorithm)]);
        assert.is(calls[0]?.prehashed, algorithm === 'ed25519' ? undefined : true);
      });
    }

    test(`${name} accepts no client without a certificate over ${version}`, async ({
      pki,
      client,
    }) => {
      if (!pki || !client) throw new Error('the rig was not set up');
      await using server = await start(pki, version);
      const pending = client.request(requestTo(server, pki), never);
      const outcome = await pending.then(({ status }) => status, String);
      assert.match(String(outcome), 'localhost');
    });
  }
}

/** A certificate for the key `ec-p256` that has its public half in another form. */
async function certified(keys: ServedKeys, pki: Pki, ...form: readonly string[]): Promise<string> {
  const { spki } = keys.get('ec-p256');
  const options = ['-pubin', '-inform', 'DER', '-outform', 'DER', ...form];
  const other = execFileSync('openssl', ['pkey', ...options], { input: spki, timeout: 20_000 });
  assert.not.equal(other, Buffer.from(spki));
  return pki.certify('other-form', other);
}

test('a key is accepted whose certificate has a compressed point', async ({
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
  assert.is((await keys.calls.all()).length, 1);
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
  const pending = client.request({ ...requestTo(server, pki), clientCertificate }, never);
  const outcome = await pending.then(() => 'let in', String);
  assert.match(outcome, /the certificate has explicit EC parameters/);
});

function kindOf(algorithm: string): 'ec' | 'rsa' | 'ed' {
  if (algorithm === 'ed25519') return 'ed';
  return algorithm.startsWith('rsa') ? 'rsa' : 'ec';
}

function requestTo({ port }: Peer, pki: Pki): HttpsRequest {
  const url = `https://localhost:${port}/`;
  const ca = pki.root.certificate;
  return { method: 'GET', url, ca, requestId: 'test', timeoutMs: 20_000 };
}

test.run();
