import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { pairAlgorithms as algorithms } from '../../../src/interfaces/enumerations.ts';
import { OpensslRig } from '../../support/provider/openssl-rig.ts';
import { operatorsMayDoEverything } from '../../support/rig/rig-polkit.ts';
import type { RigUser } from '../../support/rig/rig-users.ts';

const hashed = algorithms.filter((algorithm) => algorithm !== 'ed25519');
const pss = ['-sigopt', 'rsa_padding_mode:pss'];

/** Keys that cannot be used, and a polkit rule for one that asks for a password. */
const oddKeys = {
  settings: { keys: { 'preloaded_key:gone': 'file:///nonexistent/key.pem' } },
  rules: `polkit.addRule(function (action, subject) {
  if (action.lookup("key_id") == "ec-p384" && subject.user == "alice") return polkit.Result.AUTH_ADMIN;
});
${operatorsMayDoEverything}`,
};

/** The whole module with the `openssl` command; instrumented, every run is also checked for leaks. */
for (const asan of [true, false]) {
  const test = suite<{ rig?: OpensslRig }>(
    asan ? 'OpenSSL module, instrumented' : 'OpenSSL module',
  );

  test.before(async (context) => {
    context.rig = await OpensslRig.start({ asan, ...oddKeys });
    await writeFile(join(context.rig.directory, 'message'), 'a message');
    for (const algorithm of algorithms) {
      const { spki } = await context.rig.keys.create(algorithm, algorithm);
      const pem = `-----BEGIN PUBLIC KEY-----\n${spki.toString('base64')}\n-----END PUBLIC KEY-----\n`;
      await writeFile(join(context.rig.directory, `${algorithm}.pub`), pem);
    }
  });

  test.after(({ rig }) => rig?.[Symbol.asyncDispose]());

  test.before.each(({ rig }) => rig?.keys.calls.clear());

  for (const algorithm of algorithms) {
    test(`finds ${algorithm} by its URI and in its PEM`, async (context) => {
      const rig = of(context);
      const wanted = rig.keys.get(algorithm).spki;
      for (const source of [`iotedge:${algorithm}`, await rig.keyFile(algorithm)]) {
        const found = await rig.succeed('pkey', '-in', source, '-pubout', '-outform', 'DER');
        assert.ok(found.equals(wanted));
      }
    });

    test(`creates requests and certificates with ${algorithm}`, async (context) => {
      const rig = of(context);
      const key = await rig.keyFile(algorithm);
      await rig.succeed('req', '-new', '-key', key, '-subj', '/CN=x', '-out', 'x.csr');
      await rig.succeed('req', '-in', 'x.csr', '-verify', '-noout');
      await rig.succeed(
        'x509',
        '-req',
        '-in',
        'x.csr',
        '-key',
        `iotedge:${algorithm}`,
        '-out',
        'x.crt',
      );
      await rig.succeed('verify', '-CAfile', 'x.crt', 'x.crt');
      assert.is((await rig.keys.calls.all()).length, 2);
    });
  }

  for (const algorithm of hashed) {
    for (const hash of ['sha256', 'sha384', 'sha512']) {
      test(`signs with ${algorithm} and ${hash}`, async (context) => {
        const rig = of(context);
        const key = `iotedge:${algorithm}`;
        await rig.succeed('dgst', `-${hash}`, '-sign', key, '-out', 'sig', 'message');
        const verify = ['dgst', `-${hash}`, '-signature', 'sig'];
        await rig.succeed(...verify, '-verify', `${algorithm}.pub`, 'message');
        await rig.succeed(...verify, '-prverify', key, 'message');
        const scheme = algorithm.startsWith('rsa') ? 'rsa-pkcs1' : 'ecdsa';
        assert.equal(await rig.keys.calls.all(), [
          {
            keyId: algorithm,
            mechanism: `${scheme}-${hash}`,
            length: Number(hash.slice(3)) / 8,
            prehashed: true,
            requestId: undefined,
          },
        ]);
      });
    }

    test(`signs digests with ${algorithm}`, async (context) => {
      const rig = of(context);
      const key = `iotedge:${algorithm}`;
      await rig.succeed('dgst', '-sha384', '-binary', '-out', 'digest', 'message');
      const data = ['-in', 'digest', '-pkeyopt', 'digest:sha384'];
      await rig.succeed('pkeyutl', '-sign', '-inkey', key, ...data, '-out', 'sig');
      for (const inkey of [
        ['-inkey', key],
        ['-pubin', '-inkey', `${algorithm}.pub`],
      ]) {
        await rig.succeed('pkeyutl', '-verify', ...inkey, ...data, '-sigfile', 'sig');
      }
    });
  }

  test('derives the digest of an EC signature from its length', async (context) => {
    const rig = of(context);
    const sign = ['pkeyutl', '-sign', '-inkey', 'iotedge:ec-p256', '-in', 'digest'];
    for (const bytes of [32, 48, 64]) {
      await writeFile(join(rig.directory, 'digest'), Buffer.alloc(bytes, 7));
      await rig.succeed(...sign);
    }
    assert.equal(
      (await rig.keys.calls.all()).map(({ mechanism }) => mechanism),
      ['ecdsa-sha256', 'ecdsa-sha384', 'ecdsa-sha512'],
    );
    for (const bytes of [0, 20, 31, 65]) {
      await writeFile(join(rig.directory, 'digest'), Buffer.alloc(bytes, 7));
      assert.is((await rig.openssl(sign)).code, 1);
    }
    assert.is((await rig.keys.calls.all()).length, 3);
  });

  test('signs messages with Ed25519 up to 64 KiB', async (context) => {
    const rig = of(context);
    const sign = [
      'pkeyutl',
      '-sign',
      '-rawin',
      '-inkey',
      'iotedge:ed25519',
      '-in',
      'long',
      '-out',
      'sig',
    ];
    await writeFile(join(rig.directory, 'long'), Buffer.alloc(64 << 10, 1));
    await rig.succeed(...sign);
    for (const inkey of [
      ['-inkey', 'iotedge:ed25519'],
      ['-pubin', '-inkey', 'ed25519.pub'],
    ]) {
      await rig.succeed('pkeyutl', '-verify', '-rawin', ...inkey, '-in', 'long', '-sigfile', 'sig');
    }
    const [call, ...others] = await rig.keys.calls.all();
    const { mechanism, length, prehashed } = call ?? {};
    assert.equal([mechanism, length, prehashed], ['ed25519', 64 << 10, undefined]);
    assert.is(others.length, 0);
    await writeFile(join(rig.directory, 'long'), Buffer.alloc((64 << 10) + 1, 1));
    assert.is((await rig.openssl(sign)).code, 1);
    assert.is((await rig.keys.calls.all()).length, 1);
  });

  for (const salt of [undefined, 'digest', 'auto', '32', '-1', '-2']) {
    test(`creates PSS signatures with salt ${salt ?? 'unset'}`, async (context) => {
      const rig = of(context);
      const options = salt === undefined ? pss : [...pss, '-sigopt', `rsa_pss_saltlen:${salt}`];
      await rig.succeed(
        'dgst',
        '-sha256',
        ...options,
        '-sign',
        'iotedge:rsa-2048',
        '-out',
        'sig',
        'message',
      );
      const exact = [...pss, '-sigopt', 'rsa_pss_saltlen:32', '-signature', 'sig'];
      await rig.succeed('dgst', '-sha256', ...exact, '-verify', 'rsa-2048.pub', 'message');
      await rig.succeed('dgst', '-sha256', ...exact, '-prverify', 'iotedge:rsa-2048', 'message');
      await rig.succeed(
        'req',
        '-new',
        '-sha256',
        ...options,
        '-key',
        'iotedge:rsa-2048',
        '-subj',
        '/CN=x',
        '-out',
        'x.csr',
      );
      await rig.succeed('req', '-in', 'x.csr', '-verify', '-noout');
      const [call] = await rig.keys.calls.all();
      assert.is(call?.mechanism, 'rsa-pss-sha256');
    });
  }

  test('reads other keys and certificates in the same file', async (context) => {
    const rig = of(context);
    await rig.succeed(
      'req',
      '-x509',
      '-new',
      '-key',
      'iotedge:ec-p256',
      '-subj',
      '/CN=x',
      '-out',
      'a.crt',
    );
    const certificate = await rig.succeed('x509', '-in', 'a.crt');
    const mixed = `${certificate.toString()}${await readFile(await rig.keyFile('ec-p256'), 'utf8')}`;
    await writeFile(join(rig.directory, 'mixed.pem'), mixed);
    await rig.succeed('x509', '-in', 'mixed.pem', '-noout');
    await rig.succeed('dgst', '-sha256', '-sign', 'mixed.pem', '-out', 'sig', 'message');
  });

  test('accepts the special PSS salt lengths of OpenSSL from a program too', async (context) => {
    const rig = of(context);
    const program = await rig.compile('reason');
    for (const [salt, expected] of [
      ['-1', 'signed'],
      ['-2', 'signed'],
      ['32', 'signed'],
      ['-3', 'not supported'],
      ['-9', 'not supported'],
      ['20', 'not supported'],
    ] as const) {
      const { stdout } = await rig.run(program, ['rsa-2048', salt]);
      assert.is(stdout.toString().trim(), expected, salt);
    }
    assert.is((await rig.keys.calls.all()).length, 3);
  });

  /** The reason of the failure of `reason` as a user of the machine. */
  const reasonOf = async (rig: OpensslRig, keyId: string, user: RigUser): Promise<string> => {
    const program = await rig.compile('reason');
    return (await rig.runAs(user, program, [keyId])).stdout.toString().trim();
  };

  for (const [what, keyId, reason] of [
    ['a key that there is not', 'absent', 'the Keys service has no such key'],
    ['a key without a public half', 'symmetric', 'not supported'],
    ['a key whose file is gone', 'gone', 'the key or the Keys service is unavailable'],
    ['a key that only decrypts', 'decrypts', 'not supported'],
  ] as const) {
    test(`has a distinct reason for ${what}`, async (context) => {
      const rig = of(context);
      const { client } = rig.keys;
      const about = { key_id: keyId, options: { if_exists: 'keep' } };
      if (keyId === 'symmetric')
        await client.CreateKey({ ...about, algorithm: 'hmac-sha256', usages: [] });
      if (keyId === 'decrypts')
        await client.CreateKeyPair({ ...about, algorithms: ['rsa-2048'], usages: ['decrypt'] });
      assert.is(await reasonOf(rig, keyId, 'operator'), reason);
    });
  }

  test('has a distinct reason for a user who may not sign', async (context) => {
    const rig = of(context);
    const denied = 'the Keys service denies access to the key';
    assert.is(await reasonOf(rig, 'ec-p256', 'operator'), 'signed');
    assert.is(await reasonOf(rig, 'ec-p256', 'alice'), denied);
    // polkit would ask an administrator for a password
    assert.is(await reasonOf(rig, 'ec-p384', 'alice'), denied);
    const key = await rig.keyFile('ec-p384');
    const { stderr } = await rig.opensslAs('alice', ['req', '-new', '-key', key, '-subj', '/CN=x']);
    assert.match(stderr, 'org.freedesktop.DBus.Error.InteractiveAuthorizationRequired');
  });

  test('has a distinct reason for a key that was replaced', async (context) => {
    const rig = of(context);
    await rig.keys.create('replaced', 'ec-p256');
    const key = await rig.keyFile('replaced');
    await rig.keys.client.DeleteKey({ key_id: 'replaced', options: {} });
    await rig.keys.create('replaced', 'ec-p256');
    const { code, stderr } = await rig.openssl(['req', '-new', '-key', key, '-subj', '/CN=x']);
    assert.is(code, 1);
    assert.match(stderr, ':the key was replaced, make its key file anew:');
    await rig.keys.client.DeleteKey({ key_id: 'replaced', options: {} });
    const none = await rig.openssl(['req', '-new', '-key', key, '-subj', '/CN=x']);
    assert.match(none.stderr, ':the Keys service has no such key:');
    assert.match(none.stderr, 'org.iotedge.Error.NotFound: no key "replaced"');
  });

  test('has a distinct reason for a missing service or bus', async (context) => {
    const rig = of(context);
    const program = await rig.compile('reason');
    const absent = `unix:path=${join(rig.directory, 'absent')}`;
    const env = { DBUS_SYSTEM_BUS_ADDRESS: absent };
    const { stdout } = await rig.run(program, ['ec-p256'], { env });
    assert.is(stdout.toString().trim(), 'the key or the Keys service is unavailable');
  });

  test('signs in many threads and forked children concurrently', async (context) => {
    const rig = of(context);
    const program = await rig.compile('concurrency');
    const { code, stderr } = await rig.run(program, ['ec-p256']);
    assert.is(code, 0, stderr);
    assert.is((await rig.keys.calls.all()).length, 4 * 6 * 4);
  });

  test.run();
}

function of({ rig }: { rig?: OpensslRig }): OpensslRig {
  if (rig === undefined) throw new Error('the rig was not set up');
  return rig;
}
