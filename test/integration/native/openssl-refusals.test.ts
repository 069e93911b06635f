/** Refusals of the OpenSSL module: signatures that the Keys service does not make, and replies to other requests. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { TestAlgorithm } from '../../support/keys/served-keys.ts';
import { OpensslRig } from '../../support/provider/openssl-rig.ts';

const algorithms: readonly TestAlgorithm[] = ['ec-p256', 'ec-p384', 'rsa-2048', 'ed25519'];
const pss = ['-sigopt', 'rsa_padding_mode:pss'];
const test = suite<{ rig?: OpensslRig }>('refusals of the OpenSSL module, instrumented');

test.before(async (context) => {
  const rig = (context.rig = await OpensslRig.start({ asan: true }));
  await writeFile(join(rig.directory, 'message'), 'a message');
  await writeFile(join(rig.directory, 'other'), 'another message');
  for (const algorithm of algorithms) await rig.keys.create(algorithm, algorithm);
});

test.after(({ rig }) => rig?.[Symbol.asyncDispose]());

test.before.each(({ rig }) => rig?.keys.calls.clear());

function of({ rig }: { rig?: OpensslRig }): OpensslRig {
  if (rig === undefined) throw new Error('the rig was not set up');
  return rig;
}

for (const [what, options] of [
  ['PSS with the longest salt', ['-sha256', ...pss, '-sigopt', 'rsa_pss_saltlen:max']],
  ['PSS with the longest salt by its number', ['-sha256', ...pss, '-sigopt', 'rsa_pss_saltlen:-3']],
  ['PSS with another salt', ['-sha256', ...pss, '-sigopt', 'rsa_pss_saltlen:20']],
  ['PSS with a salt of nonsense', ['-sha256', ...pss, '-sigopt', 'rsa_pss_saltlen:99999999999']],
  ['PSS with another MGF1 hash', ['-sha256', ...pss, '-sigopt', 'rsa_mgf1_md:sha384']],
  ['other paddings', ['-sha256', '-sigopt', 'rsa_padding_mode:x931']],
  ['SHA-1', ['-sha1']],
  ['SHA-224', ['-sha224']],
  ['MD5', ['-md5']],
  ['MD5 with SHA-1', ['-md5-sha1']],
  ['SHA-3', ['-sha3-256']],
] as const) {
  test(`refuses ${what}`, async (context) => {
    const rig = of(context);
    const { code, stderr } = await rig.openssl([
      'dgst',
      ...options,
      '-sign',
      'iotedge:rsa-2048',
      'message',
    ]);
    assert.is(code, 1);
    assert.match(stderr, 'iotedge-keys');
    assert.is((await rig.keys.calls.all()).length, 0);
  });
}

test('refuses to sign with RSA without a digest', async (context) => {
  const rig = of(context);
  const { code } = await rig.openssl([
    'pkeyutl',
    '-sign',
    '-inkey',
    'iotedge:rsa-2048',
    '-in',
    'message',
  ]);
  assert.is(code, 1);
  assert.is((await rig.keys.calls.all()).length, 0);
});

test('returns false for a wrong signature', async (context) => {
  const rig = of(context);
  await rig.succeed('dgst', '-sha256', '-sign', 'iotedge:ec-p256', '-out', 'sig', 'message');
  await writeFile(join(rig.directory, 'other'), 'another message');
  const verify = ['dgst', '-sha256', '-prverify', 'iotedge:ec-p256', '-signature', 'sig', 'other'];
  const { code, stdout } = await rig.openssl(verify);
  assert.is(code, 1);
  assert.match(stdout.toString(), /verification fail/i);
});

test('never exports a private key', async (context) => {
  const rig = of(context);
  for (const algorithm of algorithms) {
    for (const options of [
      ['-outform', 'PEM'],
      ['-outform', 'DER'],
      ['-text', '-noout'],
      ['-traditional'],
    ]) {
      const { code } = await rig.openssl(['pkey', '-in', `iotedge:${algorithm}`, ...options]);
      assert.is(code, 1);
    }
  }
});

test('does not handle ordinary keys', async (context) => {
  const rig = of(context);
  await rig.succeed('genpkey', '-algorithm', 'RSA', '-out', 'own.key');
  await rig.succeed('genpkey', '-algorithm', 'EC', '-pkeyopt', 'group:P-256', '-out', 'own-ec.key');
  for (const key of ['own.key', 'own-ec.key']) {
    await rig.succeed('dgst', '-sha1', '-sign', key, '-out', 'sig', 'message');
    assert.match(String(await readFile(join(rig.directory, key))), 'PRIVATE KEY');
  }
  assert.is((await rig.keys.calls.all()).length, 0);
});

/** The words that sign or verify a file with a key: in one step, or over a digest of it. */
const ways = {
  'a digest': (key: string) => ({
    sign: ['pkeyutl', '-sign', '-inkey', key, '-in', 'digest', '-pkeyopt', 'digest:sha256'],
    verify: [
      'pkeyutl',
      '-verify',
      '-inkey',
      key,
      '-in',
      'digest',
      '-pkeyopt',
      'digest:sha256',
      '-sigfile',
    ],
  }),
  'a message': (key: string) => ({
    sign: ['pkeyutl', '-sign', '-rawin', '-inkey', key, '-in', 'message'],
    verify: ['pkeyutl', '-verify', '-rawin', '-inkey', key, '-in', 'message', '-sigfile'],
  }),
} as const;

for (const [algorithm, way] of [
  ['ec-p256', 'a digest'],
  ['rsa-2048', 'a digest'],
  ['ec-p256', 'a message'],
  ['rsa-2048', 'a message'],
  ['ed25519', 'a message'],
] as const) {
  test(`verifies only the right signature of ${algorithm} over ${way}`, async (context) => {
    const rig = of(context);
    await rig.succeed('dgst', '-sha256', '-binary', '-out', 'digest', 'message');
    const { sign, verify } = ways[way](`iotedge:${algorithm}`);
    await rig.succeed(...sign, '-out', 'right');
    await rig.succeed(...verify, 'right');
    const right = await readFile(join(rig.directory, 'right'));
    const changed = Buffer.from(right);
    changed.writeUInt8(changed.readUInt8(right.length - 1) ^ 1, right.length - 1);
    const wrong = [changed, right.subarray(0, -1), Buffer.alloc(right.length), Buffer.of(1)];
    for (const signature of wrong) {
      await writeFile(join(rig.directory, 'wrong'), signature);
      assert.is((await rig.openssl([...verify, 'wrong'])).code, 1);
    }
  });
}

test('does not sign a digest of another length than its hash', async (context) => {
  const rig = of(context);
  for (const bytes of [31, 33, 48, 64]) {
    await writeFile(join(rig.directory, 'digest'), Buffer.alloc(bytes, 7));
    for (const algorithm of ['ec-p256', 'rsa-2048']) {
      const { sign } = ways['a digest'](`iotedge:${algorithm}`);
      const { code, stderr } = await rig.openssl(sign);
      assert.is(code, 1);
      assert.match(stderr, /invalid (digest )?length/);
    }
  }
  assert.equal(await rig.keys.calls.all(), []);
});

test('does not match a certificate of another key', async (context) => {
  const rig = of(context);
  const request = ['-subj', '/CN=x', '-out'];
  await rig.succeed('req', '-x509', '-new', '-key', 'iotedge:ec-p256', ...request, 'ca.crt');
  await rig.succeed('req', '-new', '-key', 'iotedge:ec-p384', ...request, 'x.csr');
  await rig.keys.create('another', 'ec-p256');
  const issue = ['x509', '-req', '-in', 'x.csr', '-CA', 'ca.crt', '-out', 'x.crt', '-CAkey'];
  await rig.succeed(...issue, 'iotedge:ec-p256');
  for (const other of ['iotedge:another', 'iotedge:ec-p384', 'iotedge:rsa-2048']) {
    const { code, stderr } = await rig.openssl([...issue, other]);
    assert.is(code, 1);
    assert.match(stderr, /do not match|mismatch/);
  }
});

test('does not load a key when a certificate is requested', async (context) => {
  const rig = of(context);
  using _ = await rig.keys.pause();
  // a call would block here
  const args = ['x509', '-in', 'iotedge:ec-p256', '-noout'];
  const { code, stderr } = await rig.openssl(args, { timeoutMs: 15_000 });
  assert.is(code, 1);
  assert.not.match(stderr, 'iotedge-keys');
});

test('does not sign into a buffer that is too small', async (context) => {
  const rig = of(context);
  const program = await rig.compile('small-buffer');
  for (const algorithm of algorithms) {
    const { code, stderr } = await rig.run(program, [algorithm]);
    assert.is(code, 0, stderr);
  }
});

test.run();
