import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  certificatesSchema,
  parseCertificatesConfig,
} from '../../../../src/certificates/config/config.ts';
import { policyFor, ruleFor } from '../../../../src/certificates/issuers/policy.ts';
import { ConfigError } from '../../../../src/service/config/config-problem.ts';
import { loadText, problemsOfText } from '../../../support/config-texts.ts';

const test = suite<{ dir: string }>('certificates configuration');

test.before.each(async (context) => {
  context.dir = await mkdtemp(join(tmpdir(), 'iotedge-certificates-'));
});
test.after.each(async ({ dir }) => {
  await rm(dir, { recursive: true });
});

const form = {
  service: 'certificates',
  schema: certificatesSchema,
  parse: parseCertificatesConfig,
};
const load = (dir: string, text: string) => loadText(form, dir, text);

async function pathsOfProblems(dir: string, text: string): Promise<readonly string[]> {
  return (await problemsOfText(form, dir, text)).map(({ path }) => path);
}

test('reports invalid certificate names, each with its place', async ({ dir }) => {
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

test('suggests quotes for a number among names', async ({ dir }) => {
  const text = 'certificates: { hub: { dns: [10.0, true], ip: [1.10], subject: 5 } }\n';
  const failure: unknown = await load(dir, text).catch((error: unknown) => error);
  assert.instance(failure, ConfigError);
  const problems = failure instanceof ConfigError ? failure.problems : [];
  assert.is(problems.length, 4);
  for (const { message } of problems) assert.match(message, /must be a text: write it in quotes$/);
});

test('accepts the documented file', async ({ dir }) => {
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

test('publishes in a directory with a whole path', async ({ dir }) => {
  assert.is((await load(dir, '')).publish_dir, '/var/lib/iotedge/published');
  const good = await load(dir, 'publish_dir: /srv/tls\ncertificates: { web: { publish: true } }\n');
  assert.equal([good.publish_dir, good.certificates['web']?.publish], ['/srv/tls', true]);
  for (const path of [
    'srv',
    '/',
    '/srv/',
    '/srv//tls',
    '/srv/../tls',
    '/srv/.',
    '"/srv/a\\nb"',
    '""',
  ])
    assert.equal(await pathsOfProblems(dir, `publish_dir: ${path}\n`), ['publish_dir'], path);
  const text = 'certificates: { web: { publish: yes } }\n';
  assert.equal(await pathsOfProblems(dir, text), ['certificates.web.publish']);
});

test('has a default for everything', async ({ dir }) => {
  const config = await load(dir, '');
  assert.equal(config.certificates, {});
  assert.equal(config.trust_bundle, []);
  assert.equal(config.preloaded, {});
});

test('treats a rule without settings like no rule', async ({ dir }) => {
  const config = await load(dir, 'certificates: { a: {} }\n');
  const { ruleName, ...policy } = policyFor(config, 'a');
  assert.is(ruleName, 'a');
  const { ruleName: none, ...plain } = policyFor(await load(dir, ''), 'a');
  assert.is(none, undefined);
  assert.equal(policy, plain);
});

test('accepts all settings of a certificate', async ({ dir }) => {
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
    key_algorithms: [ec-p256]
    key_id: hub
    publish: true
issuers: { device-ca: { key_id: my-key } }
trust_bundle: [trusted-ca]
`,
  );
  assert.equal(ruleFor(config, 'hub1'), {
    method: 'local_ca',
    issuer: 'device-ca',
    profiles: ['server'],
    subject: 'CN=hub',
    dns: ['hub.local'],
    ip: ['10.0.0.1'],
    uri: ['urn:hub'],
    lifetime: '90d',
    renew_at: '70%',
    key_algorithms: ['ec-p256'],
    key_id: 'hub',
    publish: true,
  });
  assert.equal(config.issuers, { 'device-ca': { method: 'local_ca', key_id: 'my-key' } });
  assert.equal(config.trust_bundle, ['trusted-ca']);
});

const rules: readonly (readonly [
  setting: string,
  good: readonly string[],
  bad: readonly string[],
])[] = [
  ['method', ['none', 'local_ca', 'self_signed', 'external'], ['est', 'command', "''", '1']],
  ['issuer', ['a/b'], ["''", 'a//b', '/a', 'x'.repeat(129)]],
  ['issuer', ['x'.repeat(128)], ['é']],
  [
    'profiles',
    ['[client]', '[device-identity, device-ca, workload-ca, server]'],
    ['[]', '[root]', 'client'],
  ],
  ['key_id', ['a', 'key://a'], ["''", 'cert://a', '/a', 'pkcs11:object=a', 'file:///a']],
  ['subject', ['CN=a', 'cn = a'], ['a', "''", 'CN=', '=a']],
  ['dns', ['[]', '[a]'], ["['']", 'a', '[a b]']],
  ['ip', ["['::1']"], ["['']", '[a]']],
  ['uri', ['[a:b]'], ["['']", '[a]']],
  [
    'lifetime',
    ['1s', '999999999s', '2min', '3h', '4d'],
    ['0s', '01s', '1000000000s', '1', '1m', '1 h', '-1h', '1.5h', '1w'],
  ],
  ['renew_at', ['1%', '99%'], ['0%', '100%', '05%', '80', '0.8']],
  ['renew_at', ['30d', '36h'], ['30', '0d', '1w']],
  ['key_policy', ['rotate', 'reuse'], ['keep', "''", '[]']],
  ['key_algorithms', ['[ed25519]', '[rsa-2048, ec-p521]'], ['[]', '[rsa-1024]', 'ec-p256']],
  ['odd', [], ['x']],
];

for (const [setting, good, bad] of rules) {
  test(`limits the setting ${setting} of a rule`, async ({ dir }) => {
    const problemsOf = (value: string) =>
      pathsOfProblems(dir, `certificates: { 'a*': { ${setting}: ${value} } }\n`);
    for (const value of good) assert.equal(await problemsOf(value), [], value);
    for (const value of bad) {
      const [path = ''] = await problemsOf(value);
      assert.match(path, `certificates.a*`, value);
    }
  });
}

test('accepts a key by its id or as a reference, in rules and for issuers', async ({ dir }) => {
  const text = `certificates: { a: { key_id: 'key://x/y' }, b: { key_id: z } }
issuers: { ca: { key_id: 'key://k' }, plain: {} }
`;
  const { certificates, issuers } = await load(dir, text);
  assert.equal([certificates['a']?.key_id, certificates['b']?.key_id], ['x/y', 'z']);
  assert.equal(issuers, {
    ca: { method: 'local_ca', key_id: 'k' },
    plain: { method: 'local_ca' },
  });
  for (const wrong of ['cert://k', '/k', "''", 'file:///k']) {
    const paths = await pathsOfProblems(
      dir,
      `issuers: { ca: { key_id: '${wrong.replaceAll("'", '')}' } }\n`,
    );
    assert.equal(paths, ['issuers.ca.key_id'], wrong);
  }
  assert.equal(await pathsOfProblems(dir, 'issuers: { ca: { odd: x } }\n'), ['issuers.ca.odd']);
});

test('accepts files by absolute paths and certificates by ids for preloading', async ({ dir }) => {
  const problemsOf = (value: string) => pathsOfProblems(dir, `'preloaded_cert:x': ${value}\n`);
  for (const good of ['/a', "'file:///a b'", 'a', 'cert://a', "['/a', b]", '"/a\\nb"']) {
    assert.equal(await problemsOf(good), [], good);
  }
  for (const bad of ["''", '[]', "['']", 'key://a', 'file://a', './a', '[/a, ../b]', '1']) {
    assert.is((await problemsOf(bad)).length > 0, true, bad);
  }
  const [path] = await pathsOfProblems(dir, `'preloaded_cert:a//b': /x\n`);
  assert.match(path ?? '', 'preloaded_cert:a//b');
  assert.is((await pathsOfProblems(dir, `'preloaded_cert:${'x'.repeat(129)}': /x\n`)).length, 1);
  assert.equal(await pathsOfProblems(dir, `'preloaded_cert:${'x'.repeat(128)}': /x\n`), []);
});

test('validates ids, in lists too', async ({ dir }) => {
  const bad = ['a//b', 'a/', '../a', 'a/.', 'https://user:pw@host', 'a/./b', '/a'];
  for (const id of bad) {
    const error: unknown = await load(dir, `trust_bundle: ['${id}']\n`).catch((e: unknown) => e);
    assert.instance(error, ConfigError, id);
  }
  const good = ['a/b', 'a/...', 'a..b', '$edgeAgent', 'iotedge/workload-ca@2'];
  const config = await load(dir, `trust_bundle: ${JSON.stringify(good)}\n`);
  assert.equal(config.trust_bundle, good);
});

test('names each problem, including unknown methods', async ({ dir }) => {
  const wrong = `'preloaded_cert:a//b': '/x'
'preloaded_cert:device-id': 'not/../a path'
'preloaded_cer:x': '/x'
certificates:
  a: { method: acme }
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

test('names the setting that the kinds of keys are listed in', async ({ dir }) => {
  const text = 'certificates: { a: { key_policy: [ec-p256] } }\n';
  const [problem] = await problemsOfText(form, dir, text);
  assert.is(problem?.path, 'certificates.a.key_policy');
  assert.match(problem?.message ?? '', 'listed in key_algorithms');
});

test('reports rules that no certificate can be issued by', async ({ dir }) => {
  const problemsOf = (rule: string) => pathsOfProblems(dir, `certificates: { ${rule} }\n`);
  assert.equal(await problemsOf("a: { method: self_signed }, 'b*': { method: self_signed }"), []);
  assert.equal(await problemsOf('a: { method: self_signed, issuer: ca }'), [
    'certificates.a.issuer',
  ]);
  for (const id of ['a@2', 'x'.repeat(101)]) {
    const [path = ''] = await problemsOf(`'${id}': { method: self_signed }`);
    assert.match(path, id);
    assert.equal(await problemsOf(`'${id}': { method: local_ca }`), [], 'Issue has no such limit');
  }
  assert.equal(await problemsOf(`'${'x'.repeat(100)}': { method: self_signed }`), []);
});

test('prefers the exact id, then the longest glob, and separates the ids of the services', () => {
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
