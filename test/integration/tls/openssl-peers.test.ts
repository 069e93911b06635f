import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MutualTlsServer } from '../../support/mutual-tls-server.ts';
import { OpensslRig } from '../../support/openssl-rig.ts';
import { Pki } from '../../support/pki.ts';
import type { TestAlgorithm } from '../../support/test-keys.ts';

const matrix: readonly TestAlgorithm[] = ['ec-p256', 'ec-p384', 'rsa-2048', 'rsa-3072', 'ed25519'];
const versions = [
  ['TLSv1.2', '-tls1_2'],
  ['TLSv1.3', '-tls1_3'],
] as const;
const test = suite<{ openssl?: OpensslRig; pki?: Pki }>('TLS from OpenSSL to Node');

test.before(async (context) => {
  const openssl = (context.openssl = await OpensslRig.start({ asan: true }));
  const pki = (context.pki = await Pki.create());
  for (const algorithm of matrix) {
    const { spki } = await openssl.keys.create(algorithm, algorithm);
    const chain = await pki.certify(algorithm, spki);
    await writeFile(join(openssl.directory, `${algorithm}.crt`), chain);
  }
  await writeFile(join(openssl.directory, 'root.crt'), pki.root.certificate);
});

test.after(async ({ openssl, pki }) => {
  for (const part of [pki, openssl]) await part?.[Symbol.asyncDispose]();
});

test.before.each(({ openssl }) => {
  if (openssl !== undefined) openssl.keys.calls.length = 0;
});

function rig({ openssl, pki }: { openssl?: OpensslRig; pki?: Pki }) {
  if (!openssl || !pki) throw new Error('the rig was not set up');
  return { openssl, pki };
}

for (const [version, option] of versions) {
  for (const algorithm of matrix) {
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
