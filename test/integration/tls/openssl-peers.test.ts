import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { HttpsClient } from '../../../src/service/https.ts';
import { deadline, until } from '../../support/deadline.ts';
import { MutualTlsServer } from '../../support/mutual-tls-server.ts';
import { OpensslRig } from '../../support/openssl-rig.ts';
import { Pki } from '../../support/pki.ts';
import type { TestAlgorithm } from '../../support/test-keys.ts';

interface Rig {
  readonly openssl: OpensslRig;
  readonly pki: Pki;
  readonly client: HttpsClient;
  readonly chains: ReadonlyMap<string, string>;
}

const matrix: readonly TestAlgorithm[] = ['ec-p256', 'ec-p384', 'rsa-2048', 'rsa-3072', 'ed25519'];
const versions = [
  ['TLSv1.2', '-tls1_2'],
  ['TLSv1.3', '-tls1_3'],
] as const;
const test = suite<Partial<Rig>>('TLS between OpenSSL and Node');

test.before(async (context) => {
  const openssl = await OpensslRig.start({ asan: true });
  process.env['DBUS_SYSTEM_BUS_ADDRESS'] = openssl.bus.address; // where the provider looks
  const pki = await Pki.create();
  const chains = new Map<string, string>();
  for (const algorithm of matrix) {
    const { spki } = await openssl.keys.create(algorithm, algorithm);
    const chain = await pki.certify(algorithm, spki);
    chains.set(algorithm, chain);
    await writeFile(join(openssl.directory, `${algorithm}.crt`), chain);
    await openssl.keyFile(algorithm);
  }
  await writeFile(join(openssl.directory, 'root.crt'), pki.root.certificate);
  const workerFile = fileURLToPath(new URL('../../support/tls-thread.js', import.meta.url));
  Object.assign(context, { openssl, pki, chains, client: HttpsClient.start({ workerFile }) });
});

test.after(async ({ openssl, pki, client }) => {
  for (const part of [client, pki, openssl]) await part?.[Symbol.asyncDispose]();
});

test.before.each(({ openssl }) => {
  if (openssl !== undefined) openssl.keys.calls.length = 0;
});

function rig({ openssl, pki, client, chains }: Partial<Rig>): Rig {
  if (!openssl || !pki || !client || !chains) throw new Error('the rig was not set up');
  return { openssl, pki, client, chains };
}

/** `openssl s_server`, which insists on a client certificate that verifies. */
class StrictServer implements AsyncDisposable {
  readonly port: number;
  readonly #child: ChildProcessWithoutNullStreams;

  private constructor(child: ChildProcessWithoutNullStreams, port: number) {
    this.#child = child;
    this.port = port;
  }

  static async start({ openssl, pki }: Rig, version: string): Promise<StrictServer> {
    const { key, certificate } = await pki.issue('server', ['localhost']);
    await writeFile(join(openssl.directory, 'server.pem'), `${key}${certificate}`);
    const child = spawn(
      'openssl',
      `s_server -accept 127.0.0.1:0 -cert server.pem ${version} -www -Verify 3 -verify_return_error -CAfile root.crt`.split(
        ' ',
      ),
      { cwd: openssl.directory },
    );
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => void (output += chunk.toString()));
    await until(10_000, 's_server to listen', () => /^ACCEPT .*:\d+$/m.test(output));
    return new StrictServer(child, Number(/^ACCEPT .*:(\d+)$/m.exec(output)?.[1]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#child, 'close');
    this.#child.kill('SIGKILL');
    await deadline(5000, closed, 's_server to end');
  }
}

for (const [version, option] of versions) {
  for (const algorithm of matrix) {
    test(`lets Node in with ${algorithm} in ${version}`, async (context) => {
      const parts = rig(context);
      const { openssl, chains, client } = parts;
      await using server = await StrictServer.start(parts, option);
      const { spki } = openssl.keys.get(algorithm);
      const response = await client.request(
        {
          method: 'GET',
          url: `https://localhost:${server.port}/`,
          ca: parts.pki.root.certificate,
          clientCertificate: { chainPem: chains.get(algorithm) ?? '', keyId: algorithm, spki },
          timeoutMs: 20_000,
        },
        new AbortController().signal,
      );
      assert.is(response.status, 200);
      assert.match(response.body.toString(), `Protocol  : ${version}`);
      const [, firstLine = ''] = chains.get(algorithm)?.split('\n') ?? [];
      assert.match(response.body.toString(), firstLine);
      assert.is(openssl.keys.calls.length, 1);
    });

    test(`lets s_client, instrumented, in with ${algorithm} in ${version}`, async (context) => {
      const { openssl, pki } = rig(context);
      await using server = await MutualTlsServer.start(pki);
      const { code, stdout } = await openssl.openssl(
        `s_client -connect localhost:${server.port} ${option} -ign_eof -cert ${algorithm}.crt -key iotedge:${algorithm} -CAfile root.crt -verify_return_error`.split(
          ' ',
        ),
        { input: 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' },
      );
      assert.is(code, 0);
      assert.match(stdout.toString(), 'hello');
      assert.is(server.requests[0]?.client, algorithm);
      assert.is(server.requests[0]?.protocol, version);
      assert.is(openssl.keys.calls.length, 1);
    });
  }
}

test('lets curl in with the PEM', async (context) => {
  const { pki } = rig(context);
  await using openssl = await OpensslRig.start({ asan: false }); // curl does not start with the sanitizer's library
  const { spki } = await openssl.keys.create('curl', 'ec-p256');
  await writeFile(join(openssl.directory, 'curl.crt'), await pki.certify('curl', spki));
  await writeFile(join(openssl.directory, 'root.crt'), pki.root.certificate);
  await using server = await MutualTlsServer.start(pki);
  const key = await openssl.keyFile('curl');
  const line = `--silent --show-error --cacert root.crt --cert curl.crt --key ${key} ${server.url()}`;
  const { code, stdout } = await openssl.run('curl', line.split(' '));
  assert.is(code, 0);
  assert.is(stdout.toString(), 'hello');
  assert.is(server.requests[0]?.client, 'curl');
});

test.run();
