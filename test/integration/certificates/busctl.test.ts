/** Every method of Certificates1 through busctl, its replies verified by openssl. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { certificatesService } from '../../../src/interfaces/certificates.ts';
import {
  busctlCall,
  busctlProperty,
  bytesArgument,
  fieldsOf,
} from '../../support/clients/busctl.ts';
import { introspected } from '../../support/clients/introspection.ts';
import { outputOf } from '../../support/command.ts';
import { Rig } from '../../support/rig/rig.ts';
import type { RigUser } from '../../support/rig/rig-users.ts';

const { busName, path, manager } = certificatesService;
const service = 'certificates';
const noOptions = '0';

const test = suite<{ rig: Rig; folder: string; csr: Buffer }>('Certificates1 through busctl');

const openssl = (...args: readonly string[]): Promise<Buffer> => outputOf('openssl', args);

test.before(async (context) => {
  context.rig = await Rig.start({
    settings: {
      certificates: {
        certificates: {
          'sub-ca': { profiles: ['workload-ca'] },
          web: { profiles: ['server'], dns: ['web.local'], lifetime: '2h' },
        },
      },
    },
  });
  context.folder = join(context.rig.directory, 'work');
  await outputOf('mkdir', [context.folder]);
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const files = ['-keyout', join(context.folder, 'key.pem'), '-outform', 'DER'];
  context.csr = await openssl('req', '-new', ...key, ...files, '-subj', '/CN=web');
  await writeFile(join(context.folder, 'web.csr'), context.csr);
});
test.after(({ rig }) => rig[Symbol.asyncDispose]());

/** The result of a method that has one value. */
async function call(rig: Rig, member: string, args: readonly string[], user: RigUser = 'operator') {
  const [value] = await busctlCall(rig, { service, member, args, user });
  return value;
}

async function bytesOf(rig: Rig, format: string, id = 'site'): Promise<Buffer> {
  const value = await call(rig, 'ExportCertificate', ['ssa{sv}', id, format, noOptions], 'alice');
  return Buffer.from(value as number[]); // an ay
}

const secret = (rig: Rig, name: string): string => join(rig.directory, 'secrets', name);

for (const form of ['DER', 'PEM'] as const) {
  test(`Issue certifies a request in ${form}`, async ({ rig, folder, csr }) => {
    const from = ['-in', join(folder, 'web.csr'), '-inform', 'DER', '-outform', form];
    const request = form === 'DER' ? csr : await openssl('req', ...from);
    const args = ['saya{sv}', 'web', ...bytesArgument(request), '1', 'lifetime_s', 'u', '600'];
    const chain = join(folder, 'chain.pem');
    await writeFile(chain, String(await call(rig, 'Issue', args)));
    const strict = ['-x509_strict', '-purpose', 'sslserver', '-verify_hostname', 'web.local'];
    const root = ['-CAfile', secret(rig, 'trusted-ca.cer'), '-untrusted', chain];
    assert.match(String(await openssl('verify', ...strict, ...root, chain)), ': OK');
    const key = await openssl('pkey', '-in', join(folder, 'key.pem'), '-pubout');
    assert.equal(await openssl('x509', '-in', chain, '-noout', '-pubkey'), key);
    const lives = (seconds: string) =>
      openssl('x509', '-in', chain, '-noout', '-checkend', seconds);
    await lives('500');
    const soon = lives('601');
    assert.is(
      await soon.then(
        () => 'lives longer',
        () => 'ends',
      ),
      'ends',
    );
  });
}

test('Issue certifies a CA for an authorized user, and openssl accepts the CA', async ({
  rig,
  folder,
}) => {
  const from = ['-key', join(folder, 'key.pem'), '-subj', '/CN=sub-ca', '-outform', 'DER'];
  const request = await openssl('req', '-new', ...from);
  const args = ['saya{sv}', 'sub-ca', ...bytesArgument(request), noOptions];
  const file = join(folder, 'sub-ca.pem');
  await writeFile(file, String(await call(rig, 'Issue', args)));
  const root = ['-CAfile', secret(rig, 'trusted-ca.cer'), '-untrusted', file];
  assert.match(String(await openssl('verify', '-x509_strict', ...root, file)), ': OK');
  const text = String(await openssl('x509', '-in', file, '-noout', '-text'));
  assert.match(text, 'CA:TRUE, pathlen:0');
});

test('GetCertificate returns what openssl reads in the certificate', async ({ rig }) => {
  const fields = fieldsOf(
    await call(rig, 'GetCertificate', ['sa{sv}', 'device-id', noOptions], 'alice'),
  );
  const file = secret(rig, 'device-id.cer');
  assert.is(fields['chain_pem'], await readFile(file, 'utf8'));
  assert.is(fields['key_id'], 'device-id');
  const dates = String(await openssl('x509', '-in', file, '-noout', '-dates'));
  const times = [...dates.matchAll(/=(.*)/g)].map(([, text = '']) => Date.parse(text) * 1000);
  assert.equal([fields['not_before'], fields['not_after']], times);
  assert.is(fields['renew_at'], 0);
});

test('ImportCertificate, ExportCertificate, the object and DeleteCertificate are consistent in every format', async ({
  rig,
  folder,
}) => {
  const pem = secret(rig, 'device-ca.cer');
  const forms = {
    pem: await readFile(pem),
    der: await openssl('x509', '-in', pem, '-outform', 'DER'),
    pkcs7: await openssl('crl2pkcs7', '-nocrl', '-certfile', pem, '-outform', 'DER'),
  };
  for (const [format, data] of Object.entries(forms)) {
    const args = ['saysa{sv}', 'site', ...bytesArgument(data), format, '1', 'key_id', 's', 'k'];
    const object = String(await call(rig, 'ImportCertificate', args));
    assert.is(object, `${path}/certificate/site`);
    const property = ['get-property', busName, object, `${manager.name}.Certificate`];
    const { stdout } = await rig.busctl(
      [...property, 'Fingerprint', 'KeyId', 'Preloaded'],
      'alice',
    );
    const print = String(await openssl('x509', '-in', pem, '-noout', '-fingerprint', '-sha256'));
    const hex = print.replace(/.*=|:|\s/g, '').toLowerCase();
    assert.is(stdout, `s "${hex}"\ns "k"\nb false\n`);
    assert.equal(await bytesOf(rig, 'pem'), forms.pem);
    assert.equal(await bytesOf(rig, 'der'), forms.der);
    const file = join(folder, 'out.p7');
    await writeFile(file, await bytesOf(rig, 'pkcs7'));
    const printed = await openssl('pkcs7', '-inform', 'DER', '-in', file, '-print_certs');
    assert.match(String(printed), forms.pem.toString().trim());
    await busctlCall(rig, {
      service,
      member: 'DeleteCertificate',
      args: ['sa{sv}', 'site', noOptions],
      user: 'operator',
    });
    assert.is((await rig.busctl([...property, 'Fingerprint'])).code, 1);
  }
});

test('GetTrustBundle verifies the device, and has the digest of the property', async ({
  rig,
  folder,
}) => {
  const pem = String(await call(rig, 'GetTrustBundle', ['a{sv}', noOptions], 'alice'));
  const bundle = join(folder, 'bundle.pem');
  await writeFile(bundle, pem);
  const verified = await openssl('verify', '-CAfile', bundle, secret(rig, 'device-id.cer'));
  assert.match(String(verified), ': OK');
  const digest = String(await outputOf('sha256sum', [bundle])).slice(0, 64);
  assert.is(await busctlProperty(rig, service, 'TrustBundleDigest'), digest);
  const other = ['a{sv}', '1', 'certificate_id', 's', 'device-ca'];
  assert.is(
    await call(rig, 'GetTrustBundle', other, 'alice'),
    await readFile(secret(rig, 'device-ca.cer'), 'utf8'),
  );
});

test('Describe returns everything public, and nothing private', async ({ rig }) => {
  const json = String(await call(rig, 'Describe', ['a{sv}', noOptions], 'alice'));
  const described = JSON.parse(json) as { readonly service: string; readonly objects: object };
  assert.is(described.service, 'certificates');
  assert.equal(Object.keys(described.objects).sort(), ['device-ca', 'device-id', 'trusted-ca']);
  assert.not.match(json, 'PRIVATE');
});

test('introspection has the names of arguments, and the properties', async ({ rig }) => {
  const table = await introspected(rig, 'certificates');
  assert.match(table, /\.Issue +method +saya\{sv\} +s /);
  const object = (await rig.busctl(['introspect', busName, `${path}/certificate/device_2dca`]))
    .stdout;
  assert.match(object, /\.Preloaded +property +b +true +const/);
  assert.match(object, /\.State +property +s +"valid" +emits-change/);
});

test('a user without a grant is refused, without any information about the certificate', async ({
  rig,
  csr,
}) => {
  const denied: Readonly<Record<string, readonly (readonly string[])[]>> = {
    Issue: [
      ['saya{sv}', 'web', ...bytesArgument(csr), noOptions],
      ['saya{sv}', 'absent', ...bytesArgument(csr), noOptions],
      ['saya{sv}', 'iotedge/module/x', ...bytesArgument(csr), '1', 'profile', 's', 'server'],
    ],
    ImportCertificate: [['saysa{sv}', 'mine', '1', '0', 'der', noOptions]],
    DeleteCertificate: [
      ['sa{sv}', 'device-ca', noOptions],
      ['sa{sv}', 'absent', noOptions],
    ],
  };
  for (const [member, calls] of Object.entries(denied)) {
    for (const args of calls) {
      const { code, stderr } = await rig.busctl(
        ['call', busName, path, manager.name, member, ...args],
        'alice',
      );
      assert.is(code, 1, member);
      assert.match(stderr, /[Aa]ccess denied|not authorized|not allowed/, `${member}: ${stderr}`);
    }
  }
  await assertUnchanged(rig);
});

/** Calls with one invalid argument, and the text of the refusal. */
const malformed = (
  csr: readonly string[],
  pem: readonly string[],
): Readonly<Record<string, readonly (readonly [RegExp, readonly string[]])[]>> => ({
  Issue: [
    [/the CSR is not DER/, ['saya{sv}', 'web', '1', '0', '0']],
    [/"\.\.\/web" is not a certificate id/, ['saya{sv}', '../web', ...csr, '0']],
    [/"\/\/" is not a certificate id/, ['saya{sv}', 'web', ...csr, '1', 'issuer', 's', '//']],
    [
      /"root" is not .*: there is device-identity/,
      ['saya{sv}', 'web', ...csr, '1', 'profile', 's', 'root'],
    ],
    [/lifetime_s/, ['saya{sv}', 'web', ...csr, '1', 'lifetime_s', 's', '1']],
    [/saya\{sv\}/, ['ssa{sv}', 'web', 'csr', '0']],
  ],
  GetCertificate: [
    [/sa\{sv\}/, ['s', 'device-id']],
    [/"\.\.\/x" is not a certificate id/, ['sa{sv}', '../x', '0']],
    [/has no option "x"/, ['sa{sv}', 'device-id', '1', 'x', 's', 'y']],
  ],
  ImportCertificate: [
    [/the data is not a certificate/, ['saysa{sv}', 'x', '1', '0', 'der', '0']],
    [/"pkcs12" is not .*: there is pem, der, pkcs7/, ['saysa{sv}', 'x', ...pem, 'pkcs12', '0']],
    [
      /"maybe" is not .*: there is fail, replace/,
      ['saysa{sv}', 'x', ...pem, 'pem', '1', 'if_exists', 's', 'maybe'],
    ],
    [/"\.\." is not a key id/, ['saysa{sv}', 'x', ...pem, 'pem', '1', 'key_id', 's', '..']],
  ],
  ExportCertificate: [
    [/"pkcs12" is not .*: there is pem, der, pkcs7/, ['ssa{sv}', 'device-id', 'pkcs12', '0']],
    [/format is 65 bytes, the limit is 64/, ['ssa{sv}', 'device-id', 'x'.repeat(65), '0']],
  ],
  DeleteCertificate: [
    [/"" is not a certificate id/, ['sa{sv}', '', '0']],
    [/has no option "force"/, ['sa{sv}', 'device-id', '1', 'force', 'b', 'true']],
  ],
  GetTrustBundle: [
    [/certificate_id/, ['a{sv}', '1', 'certificate_id', 'u', '1']],
    [/"\." is not a certificate id/, ['a{sv}', '1', 'certificate_id', 's', '.']],
  ],
  Describe: [
    [/has no option "odd"/, ['a{sv}', '1', 'odd', 's', 'x']],
    [/a\{sv\}/, ['s', 'x']],
  ],
});

for (const member of Object.keys(malformed([], []))) {
  test(`${member} refuses invalid arguments, and reports which`, async ({ rig, csr }) => {
    const pem = await readFile(secret(rig, 'device-ca.cer'));
    const calls = malformed(bytesArgument(csr), bytesArgument(pem))[member] ?? [];
    for (const [reason, args] of calls) {
      const words = ['call', busName, path, manager.name, member, ...args];
      const { code, stderr } = await rig.busctl(words);
      assert.is(code, 1, args.join(' '));
      assert.match(stderr, reason);
    }
    await assertUnchanged(rig);
  });
}

async function assertUnchanged(rig: Rig): Promise<void> {
  const tree = (await rig.busctl(['--list', 'tree', busName])).stdout;
  const ids = [...tree.matchAll(/certificate\/(.*)/g)].map(([, id]) => id);
  assert.equal(new Set(ids), new Set(['device_2dca', 'device_2did', 'trusted_2dca']));
}

test.run();
