import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type CertificatesConfig,
  certificatesSchema,
  parseCertificatesConfig,
} from '../../../src/certificates/config.ts';
import { ruleFor } from '../../../src/certificates/policy.ts';
import { ConfigError, loadConfig } from '../../../src/service/config.ts';

const test = suite<{ dir: string }>('certificates configuration');

test.before.each(async (context) => {
  context.dir = await mkdtemp(join(tmpdir(), 'iotedge-certificates-'));
});
test.after.each(async ({ dir }) => {
  await rm(dir, { recursive: true });
});

async function load(dir: string, text: string): Promise<CertificatesConfig> {
  await writeFile(join(dir, 'certificates.yaml'), text);
  return loadConfig({
    dir,
    service: 'certificates',
    schema: certificatesSchema,
    parse: parseCertificatesConfig,
  });
}

async function pathsOfProblems(dir: string, text: string): Promise<readonly string[]> {
  try {
    await load(dir, text);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(({ path }) => path);
    throw error;
  }
  return [];
}

test('reports names that no certificate can have, each in its place', async ({ dir }) => {
  const text = `certificates:
  good: { subject: 'CN=hub,O=Contoso', dns: [hub.local], ip: ['::1'], uri: ['urn:x'] }
  name: { subject: 'XX=hub' }
  long: { subject: 'CN=${'x'.repeat(65)}' }
  '*': { dns: [hub, 'a b'], ip: [1.2.3], uri: ['not one'] }
`;
  assert.equal(await pathsOfProblems(dir, text), [
    'certificates.name.subject',
    'certificates.long.subject',
    'certificates.*.dns[1]',
    'certificates.*.ip[0]',
    'certificates.*.uri[0]',
  ]);
});

test('says that a number among names needs quotes', async ({ dir }) => {
  const text = 'certificates: { hub: { dns: [10.0, true], ip: [1.10], subject: 5 } }\n';
  const failure: unknown = await load(dir, text).catch((error: unknown) => error);
  assert.instance(failure, ConfigError);
  const problems = failure instanceof ConfigError ? failure.problems : [];
  assert.is(problems.length, 4);
  for (const { message } of problems) assert.match(message, /must be a text: write it in quotes$/);
});

test('takes the file that users have', async ({ dir }) => {
  const config = await load(
    dir,
    `homedir_path: '/var/lib/iotedge/cs'

'preloaded_cert:device-id': '/var/secrets/device-id.cer'
'preloaded_cert:device-ca': 'file:///var/secrets/device-ca.cer'
'preloaded_cert:trusted-ca': ['/var/secrets/trusted-ca.cer', 'cert://device-ca']
`,
  );
  assert.is(config.homedir_path, '/var/lib/iotedge/cs');
  assert.equal(config.preloaded, {
    'device-id': [{ kind: 'file', path: '/var/secrets/device-id.cer' }],
    'device-ca': [{ kind: 'file', path: '/var/secrets/device-ca.cer' }],
    'trusted-ca': [
      { kind: 'file', path: '/var/secrets/trusted-ca.cer' },
      { kind: 'certificate', id: 'device-ca' },
    ],
  });
});

test('has a default for everything', async ({ dir }) => {
  const config = await load(dir, '');
  assert.equal(config.certificates, {});
  assert.equal(config.trust_bundle, []);
  assert.equal(config.preloaded, {});
});

test('takes all settings of a certificate', async ({ dir }) => {
  const config = await load(
    dir,
    `certificates:
  'hub*':
    method: local_ca
    issuer: device-ca
    profiles: [server]
    subject: CN=hub
    dns: [hub.local]
    ip: ['10.0.0.1']
    uri: ['urn:hub']
    lifetime: 90d
    renew_at: 70%
    key_policy: [ec-p256]
    key_id: hub
issuers: { device-ca: { key_id: my-key } }
trust_bundle: [trusted-ca]
`,
  );
  assert.is(ruleFor(config, 'hub1').lifetime, '90d');
});

test('takes for ids what ids are, in lists too', async ({ dir }) => {
  const bad = ['a//b', 'a/', '../a', 'a/.', 'https://user:pw@host', 'a/./b', '/a'];
  for (const id of bad) {
    const error: unknown = await load(dir, `trust_bundle: ['${id}']\n`).catch((e: unknown) => e);
    assert.instance(error, ConfigError, id);
  }
  const good = ['a/b', 'a/...', 'a..b', '$edgeAgent', 'iotedge/workload-ca@2'];
  const config = await load(dir, `trust_bundle: ${JSON.stringify(good)}\n`);
  assert.equal(config.trust_bundle, good);
});

test('names what is wrong, methods that it does not know among it', async ({ dir }) => {
  const wrong = `'preloaded_cert:a//b': '/x'
'preloaded_cert:device-id': 'not/../a path'
'preloaded_cer:x': '/x'
certificates:
  a: { method: est }
  b: { profile: server }
  c: { lifetime: 30 days, renew_at: '100%' }
`;
  const first = await pathsOfProblems(dir, wrong);
  for (const part of ['preloaded_cer', 'a.method', 'b.profile', 'c.lifetime', 'c.renew_at']) {
    assert.ok(
      first.some((path) => path.includes(part)),
      `${part} in ${first.join(' ')}`,
    );
  }
  const second = await pathsOfProblems(dir, wrong.split('\n').slice(0, 2).join('\n'));
  assert.is(second.length, 2);
});

test('prefers the exact id, then the longest glob, and keeps the own ids of the services apart', () => {
  const certificates = {
    '*': { subject: 'CN=any' },
    'hub*': { subject: 'CN=glob' },
    hub1: { subject: 'CN=exact' },
  };
  const subject = (id: string) => ruleFor({ certificates }, id).subject;
  assert.is(subject('hub1'), 'CN=exact');
  assert.is(subject('hub2'), 'CN=glob');
  assert.is(subject('x'), 'CN=any');
  assert.is(subject('iotedge/module/x'), undefined);
});

test.run();
