import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { type RequestOptions, request } from 'node:https';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { pairAlgorithms } from '../../../src/interfaces/enumerations.ts';
import { deadline } from '../../support/deadline.ts';
import { OpensslRig } from '../../support/provider/openssl-rig.ts';
import { MutualTlsServer } from '../../support/tls/mutual-tls-server.ts';
import { Pki } from '../../support/tls/pki.ts';
import { StrictServer } from '../../support/tls/strict-server.ts';

const versions = [
  ['TLSv1.2', '-tls1_2'],
  ['TLSv1.3', '-tls1_3'],
] as const;
const test = suite<{ openssl?: OpensslRig; pki?: Pki }>('TLS from OpenSSL to Node');

test.before(async (context) => {
  const openssl = (context.openssl = await OpensslRig.start({ asan: true }));
  const pki = (context.pki = await Pki.create());
  for (const algorithm of pairAlgorithms) {
    const { spki } = await openssl.keys.create(algorithm, algorithm);
    const chain = await pki.certify(algorithm, spki);
    await writeFile(join(openssl.directory, `${algorithm}.crt`), chain);
  }
  await writeFile(join(openssl.directory, 'root.crt'), pki.root.certificate);
});

test.after(async ({ openssl, pki }) => {
  for (const part of [pki, openssl]) await part?.[Symbol.asyncDispose]();
});

test.before.each(({ openssl }) => openssl?.keys.calls.clear());

/** The response of the server on a connection that verifies it. */
async function bodyFrom(port: number, options: RequestOptions): Promise<string> {
  const outgoing = request(`https://localhost:${port}/`, { agent: false, ...options }).end();
  const response = once(outgoing, 'response') as Promise<[IncomingMessage]>;
  const [incoming] = await deadline(20_000, response, 'the reply');
  const chunks: unknown[] = [];
  for await (const chunk of incoming) chunks.push(chunk);
  return chunks.join('');
}

function rig({ openssl, pki }: { openssl?: OpensslRig; pki?: Pki }) {
  if (!openssl || !pki) throw new Error('the rig was not set up');
  return { openssl, pki };
}

for (const [version, option] of versions) {
  for (const algorithm of pairAlgorithms) {
    test(`accepts s_client, instrumented, with ${algorithm} in ${version}`, async (context) => {
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
      assert.is((await openssl.keys.calls.all()).length, 1);
    });
  }
}

for (const [version] of versions) {
  for (const algorithm of pairAlgorithms) {
    test(`lets a client of Node verify s_server with ${algorithm} in ${version}`, async (context) => {
      const { openssl, pki } = rig(context);
      const { spki } = openssl.keys.get(algorithm);
      const certificate = await pki.certify(`server-${algorithm}`, spki, ['localhost']);
      const { environment } = openssl;
      const key = `iotedge:${algorithm}`;
      await using server = await StrictServer.start(pki, version, {
        certificate,
        key,
        environment,
      });
      const client = await pki.issue('client');
      const body = await bodyFrom(server.port, {
        ca: pki.root.certificate,
        cert: client.certificate,
        key: client.key,
        sigalgs: 'RSA+SHA256:RSA-PSS+SHA384:ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ed25519',
      });
      assert.match(body, new RegExp(`Protocol +: ${version}\n`));
      const [call, ...others] = await openssl.keys.calls.all();
      assert.equal([call?.keyId, others.length], [algorithm, 0]);
      if (algorithm.startsWith('rsa')) {
        assert.is(call?.mechanism, version === 'TLSv1.2' ? 'rsa-pkcs1-sha256' : 'rsa-pss-sha384');
      }
    });
  }
}

test('accepts curl with the PEM', async (context) => {
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
