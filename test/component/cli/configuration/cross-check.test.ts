import { spawnSync } from 'node:child_process';
import { chmod, chown, copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { crossCheck } from '../../../../src/cli/configuration/cross-check.ts';
import { obstacleTo } from '../../../../src/cli/configuration/file-access.ts';
import { iotedgectl } from '../../../../src/cli/iotedgectl.ts';
import { identitySchema, parseIdentityConfig } from '../../../../src/identity/config/config.ts';
import { identityService } from '../../../../src/interfaces/identity.ts';
import { keysService } from '../../../../src/interfaces/keys.ts';
import { keysSchema, parseKeysConfig } from '../../../../src/keys/config/config.ts';
import { placedConfig } from '../../../../src/service/config/config.ts';

const test = suite<{ dir: string }>('iotedgectl config check across the files');

/** Tests that need root. */
const rootTest = (name: string, run: (context: { dir: string }) => Promise<void>): void =>
  process.getuid?.() === 0 ? test(name, run) : test.skip(name, run);

interface Said {
  readonly code: number;
  readonly lines: readonly string[];
}

test.before.each(async (context) => {
  context.dir = await mkdtemp(join(tmpdir(), 'iotedge-cross-'));
});
test.after.each(async ({ dir }) => {
  await rm(dir, { recursive: true });
});

async function check(dir: string, texts: Readonly<Record<string, string>>): Promise<Said> {
  for (const [service, text] of Object.entries(texts)) {
    await writeFile(join(dir, `${service}.yaml`), text, { mode: 0o640 });
  }
  const lines: string[] = [];
  const print = (line: string) => void lines.push(line);
  const code = await iotedgectl(['config', 'check', '--config-dir', dir], print, print);
  return { code, lines: lines.map((line) => line.replace(`${dir}/`, '')) };
}

/** An installed iotedgectl that every user can read, until it is disposed of. */
async function readableProgram() {
  const folder = await mkdtemp(join(tmpdir(), 'iotedgectl-'));
  await chmod(folder, 0o755);
  for (const name of ['iotedgectl.cjs', 'iotedgectl-configuration.cjs']) {
    await copyFile(join(import.meta.dirname, '../../../../lib', name), join(folder, name));
    await chmod(join(folder, name), 0o644);
  }
  return {
    path: join(folder, 'iotedgectl.cjs'),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  };
}

const keys = (more = '') =>
  `pkcs11_lib_path: /l.so\n'preloaded_key:device-id': 'pkcs11:object=a'\n'preloaded_key:device-ca': 'pkcs11:object=b'\n${more}`;
const certificates = (more = '') =>
  `'preloaded_cert:device-id': /a\n'preloaded_cert:device-ca': /b\n'preloaded_cert:trusted-ca': /c\n${more}`;
const identity = (cert = 'device-id', key = 'device-id') =>
  `provisioning:\n  source: dps\n  scope_id: s\n  attestation:\n    method: x509\n    identity_cert: 'cert://${cert}'\n    identity_pk: 'key://${key}'\n`;
const modules = (ca = 'device-ca', key = 'device-ca', more = '') =>
  `certificates:\n  device_ca_cert: 'cert://${ca}'\n  device_ca_pk: 'key://${key}'\n  trusted_ca_certs: 'cert://trusted-ca'\n${more}`;

test('finds nothing wrong with consistent files', async ({ dir }) => {
  const texts = {
    keys: keys(),
    certificates: certificates(),
    identity: identity(),
    modules: modules(),
  };
  assert.equal(await check(dir, texts), {
    code: 0,
    lines: [`the configuration in ${dir} is good`],
  });
});

test('names ids that no file creates or preloads, with their place', async ({ dir }) => {
  const texts = {
    keys: keys(
      "grants: [{user: iotedge-identity, actions: ['*']}, {user: iotedge-certificates, actions: ['*']}]\n",
    ),
    certificates: certificates('trust_bundle: [nowhere-a]\n'),
    identity: identity('nowhere-b', 'nowhere-c'),
    modules: modules('nowhere-d', 'nowhere-e'),
  };
  const { code, lines } = await check(dir, texts);
  assert.is(code, 78);
  assert.is(lines.length, 5, lines.join('\n'));
  for (const [at, id] of [
    ['certificates.yaml:4:16', 'nowhere-a'],
    ['identity.yaml:6:20', 'nowhere-b'],
    ['identity.yaml:7:18', 'nowhere-c'],
    ['modules.yaml:2:19', 'nowhere-d'],
    ['modules.yaml:3:17', 'nowhere-e'],
  ]) {
    assert.ok(
      lines.some((line) => line.startsWith(`${at}: `) && line.includes(`"${id}"`)),
      `${at} ${id} in ${lines.join('\n')}`,
    );
  }
});

test('names the CA of a rule that no file makes or preloads, and no issuer of another method', async ({
  dir,
}) => {
  const settings = `issuers: {est-hq: {method: est, url: 'https://est.example'}}
certificates: {app: {issuer: nowhere}, site: {method: est, issuer: est-hq}}
`;
  const { code, lines } = await check(dir, { certificates: certificates(settings) });
  assert.is(code, 78);
  assert.is(lines.length, 1, lines.join('\n'));
  assert.match(lines[0] ?? '', /^certificates\.yaml:5:\d+: no file makes .* "nowhere"/);
});

test('knows ids that are created otherwise', async ({ dir }) => {
  const texts = {
    keys: keys("keys: {mine: {}}\ngrants: [{user: iotedge-identity, actions: ['*']}]\n"),
    certificates: certificates("certificates: {'mine/*': {profiles: [client]}}\n"),
    identity: identity('mine/a', 'mine'),
  };
  assert.equal((await check(dir, texts)).lines, [`the configuration in ${dir} is good`]);
});

test('does not check the reserved ids of the services', async ({ dir }) => {
  const texts = { keys: keys(), certificates: certificates('trust_bundle: [iotedge/own-ca]\n') };
  assert.equal((await check(dir, texts)).lines, [`the configuration in ${dir} is good`]);
});

test('requires a grant where a key signs certificates, and not where a certificate only has it', async ({
  dir,
}) => {
  const own = (more: string) => ({
    keys: keys("'preloaded_key:my-key': 'pkcs11:object=c'\n"),
    certificates: certificates(`certificates:\n  hub: {key_id: my-key}\n${more}`),
  });
  assert.equal((await check(dir, own(''))).lines, [`the configuration in ${dir} is good`]);
  const { code, lines } = await check(dir, own('  leaf: {issuer: hub}\n'));
  assert.is(code, 78);
  assert.is(lines.length, 1, lines.join('\n'));
  assert.match(lines[0] ?? '', /^certificates\.yaml:5:\d+: .*match: \{key_id: 'my-key'\}/);
});

test('only warns of the key of a certificate that is created with it', async ({ dir }) => {
  const texts = {
    keys: keys(),
    certificates: certificates('certificates:\n  hub: {key_id: later}\n'),
  };
  const { code, lines } = await check(dir, texts);
  assert.is(code, 0);
  assert.match(lines[0] ?? '', /^warning: certificates\.yaml:5:\d+: .*"later"/);
});

test('only warns of ids where the file that could create them is missing', async ({ dir }) => {
  const { code, lines } = await check(dir, { identity: identity() });
  assert.is(code, 0);
  assert.is(lines.filter((line) => line.startsWith('warning: identity.yaml:')).length, 2);
});

test('prints the line of a missing grant, and accepts it', async ({ dir }) => {
  const preloaded =
    "'preloaded_key:my-key': 'pkcs11:object=c'\n'preloaded_key:my-ca': 'pkcs11:object=d'\n";
  const texts = {
    keys: keys(preloaded),
    certificates: certificates("'preloaded_cert:my-ca': /d\nissuers: {my-ca: {key_id: my-ca}}\n"),
    identity: identity('device-id', 'my-key'),
    modules: modules('my-ca', 'my-ca'),
  };
  const { code, lines } = await check(dir, texts);
  assert.is(code, 78);
  const grants = lines.flatMap((line) => / the line (- \{.*\})$/.exec(line)?.[1] ?? []);
  assert.equal([...new Set(grants)].toSorted(), [
    "- {user: 'iotedge-certificates', actions: ['org.iotedge.keys1.sign'], match: {key_id: 'my-ca'}}",
    "- {user: 'iotedge-identity', actions: ['org.iotedge.keys1.sign'], match: {key_id: 'my-key'}}",
  ]);
  const granted = `${keys(preloaded)}grants:\n${[...new Set(grants)].map((line) => `  ${line}\n`).join('')}`;
  assert.is((await check(dir, { ...texts, keys: granted })).code, 0);
  for (const [rule, expected] of [
    ["{user: iotedge-identity, actions: ['*'], match: {key_id: 'my-*'}}", 0],
    ["{user: iotedge-identity, actions: ['*'], match: {key_id: 'other'}}", 78],
    ["{user: iotedge-identity, actions: ['*'], match: {key_id: 'my-*', mechanism: 'rsa-*'}}", 0],
    ["{user: iotedge-identity, actions: ['*'], match: {key_id: 'my-*', mechanism: 'x*'}}", 78],
    ["{user: iotedge-modules, actions: ['*']}", 78],
    ["{user: iotedge-identity, actions: ['org.iotedge.keys1.encrypt']}", 78],
  ] as const) {
    const more = `${preloaded}grants: [${rule}, {user: iotedge-certificates, actions: ['*']}]\n`;
    assert.is((await check(dir, { ...texts, keys: keys(more) })).code, expected, rule);
  }
  const acl =
    "authorization: {backend: acl, acl: [{user: iotedge-identity, actions: ['*']}, {user: iotedge-certificates, actions: ['*']}]}\n";
  assert.is((await check(dir, { ...texts, keys: keys(preloaded + acl) })).code, 0);
});

test('prints the lines of what a rotated key needs, and accepts them', async ({ dir }) => {
  const preloaded = "'preloaded_key:my-key': 'pkcs11:object=c'\n";
  const rule = (more: string) =>
    `certificates: {app: {key_id: my-key, method: self_signed${more}}}\n`;
  const texts = { keys: keys(preloaded), certificates: certificates(rule(', key_policy: rotate')) };
  const { code, lines } = await check(dir, texts);
  assert.is(code, 78);
  const missing = lines.flatMap((line) => / the line (- \{.*\})$/.exec(line)?.[1] ?? []);
  assert.equal(missing, [
    "- {user: 'iotedge-certificates', actions: ['org.iotedge.keys1.sign'], match: {key_id: 'my-key'}}",
    "- {user: 'iotedge-certificates', actions: ['org.iotedge.keys1.create', 'org.iotedge.keys1.delete'], match: {key_id: 'my-key@*'}}",
  ]);
  assert.match(lines[1] ?? '', 'may not create and delete the keys that follow "my-key"');
  const granted = keys(`${preloaded}grants:\n${missing.map((line) => `  ${line}\n`).join('')}`);
  assert.is((await check(dir, { ...texts, keys: granted })).code, 0);
  const signOnly = keys(`${preloaded}grants:\n  ${missing[0] ?? ''}\n`);
  const reuse = certificates(rule(''));
  assert.is((await check(dir, { keys: signOnly, certificates: reuse })).code, 0);
  const still = await check(dir, { ...texts, keys: signOnly });
  assert.equal([still.code, still.lines.length], [78, 1]);
});

test('requires a grant where certificates are ordered for a configured key', async ({ dir }) => {
  const preloaded = "'preloaded_key:my-key': 'pkcs11:object=c'\n";
  for (const [method, expected] of [
    ['local_ca, issuer: device-ca', 78],
    ['local_ca', 0],
    ['external', 0],
    ['none', 0],
  ] as const) {
    const rules = certificates(`certificates: {app: {key_id: my-key, method: ${method}}}\n`);
    const { code, lines } = await check(dir, { keys: keys(preloaded), certificates: rules });
    assert.is(code, expected, `${method}: ${lines.join('\n')}`);
  }
});

test('knows a user by its uid too, on the machine that has the user', async ({ dir }) => {
  const acl = "authorization: {backend: acl, acl: [{user: '987', actions: ['*']}]}\n";
  const preloaded = "'preloaded_key:my-key': 'pkcs11:object=c'\n";
  await writeFile(join(dir, 'keys.yaml'), keys(preloaded + acl), { mode: 0o640 });
  await writeFile(join(dir, 'identity.yaml'), identity('device-id', 'my-key'), { mode: 0o640 });
  const warn = () => undefined;
  const keysFile = { service: 'keys', definition: keysService, schema: keysSchema };
  const identityFile = { service: 'identity', definition: identityService, schema: identitySchema };
  const placed = {
    keys: await placedConfig({ ...keysFile, parse: parseKeysConfig, dir, warn }),
    identity: await placedConfig({ ...identityFile, parse: parseIdentityConfig, dir, warn }),
  };
  const problems = (uid: number | undefined) => crossCheck(placed, () => uid).problems.length;
  assert.equal([987, undefined, 988].map(problems), [0, 0, 1]);
});

test('reports inconsistent sockets', async ({ dir }) => {
  const wrong = async (more: string): Promise<Said> => check(dir, { modules: more });
  const same = 'unix:///run/one.sock';
  for (const [text, at] of [
    [`listen: {management_uri: '${same}', workload_uri: '${same}'}\n`, 'modules.yaml:1:'],
    [`moby_runtime: {uri: '${same}'}\nlisten: {workload_uri: '${same}'}\n`, 'modules.yaml:2:'],
    [`moby_runtime: {uri: '${same}'}\nconnect: {workload_uri: '${same}'}\n`, 'modules.yaml:2:'],
  ] as const) {
    const { code, lines } = await wrong(text);
    assert.is(code, 78, text);
    assert.ok(
      lines.some((line) => line.startsWith(at)),
      lines.join('\n'),
    );
  }
  const { code, lines } = await wrong(`connect: {workload_uri: 'unix:///run/a/w.sock'}\n`);
  assert.is(code, 0);
  assert.match(
    lines[0] ?? '',
    /^warning: modules\.yaml:1:.*\/run\/a\/w\.sock.*\/var\/lib\/iotedge\/workload\.sock/,
  );
});

test('reports a state directory that is not of one service alone, at its setting', async ({
  dir,
}) => {
  const linked = {
    certificates: "homedir_path: '/var/lib/iotedge/cs'\n",
    modules: "homedir: '/var/lib/iotedge/iotedged'\n",
  };
  assert.is((await check(dir, linked)).code, 0);
  const wrong = { ...linked, identity: 'homedir_path: /var/lib/iotedge/certificates\n' };
  const { code, lines } = await check(dir, wrong);
  assert.is(code, 78);
  assert.match(lines.join('\n'), /^identity\.yaml:1:15: the state directory .* contains .*\/cs/m);
  assert.match(lines.join('\n'), /^certificates\.yaml:1:15: /m);
  const system = await check(dir, { ...linked, identity: '', modules: 'homedir: /usr/lib/x\n' });
  assert.is(system.code, 78);
  assert.equal(system.lines.length, 1, system.lines.join('\n'));
  assert.match(system.lines[0] ?? '', /^modules\.yaml:1:10: .*belongs to the system/);
});

test('reports certificates that are published where other programs cannot read', async ({
  dir,
}) => {
  const published = (path: string, publish = true) => ({
    certificates: `publish_dir: ${path}\ncertificates: { web: { method: self_signed, publish: ${publish} } }\n`,
  });
  assert.is((await check(dir, published('/var/lib/iotedge/published'))).code, 0);
  assert.is((await check(dir, published('/var/lib/iotedge/cs/x', false))).code, 0);
  for (const path of ['/var/lib/iotedge/cs/x', '/var/lib/iotedge/keys']) {
    const { code, lines } = await check(dir, published(path));
    assert.is(code, 78);
    assert.match(lines.join('\n'), /^certificates\.yaml:1:14: other programs cannot read below/);
  }
});

test('warns of a module that has the hostname of the device', async ({ dir }) => {
  const text =
    'hostname: edge.example\nserver_names: {broker: [other.example, Edge.example], edgeHub: [edge.example]}\n';
  const { code, lines } = await check(dir, { modules: text });
  assert.is(code, 0);
  assert.is(lines.filter((line) => line.startsWith('warning: modules.yaml:2:')).length, 1);
});

test('refuses world-writable files', async ({ dir }) => {
  await check(dir, { modules: '' });
  await chmod(join(dir, 'modules.yaml'), 0o646);
  const lines: string[] = [];
  const print = (line: string) => void lines.push(line);
  assert.is(await iotedgectl(['config', 'check', '--config-dir', dir], print, print), 78);
  assert.match(lines[0] ?? '', 'everybody can write it');
});

test('warns of rules that cover nothing', async ({ dir }) => {
  const acl = `authorization:
  backend: acl
  acl:
    - {user: root, actions: ['org.iotedge.keys1.sgin']}
    - {user: root, actions: ['org.iotedge.keys1.sign'], match: {keyid: a}}
    - {user: root, actions: ['org.iotedge.keys1.*'], match: {key_id: a, derivation: ''}}
grants:
  - {user: iotedge-identity, actions: ['org.iotedge.identity1.sign']}
`;
  const { code, lines } = await check(dir, { keys: acl });
  assert.is(code, 0);
  const warned = lines.flatMap((line) => /^warning: (keys\.yaml:\d+)/.exec(line)?.[1] ?? []);
  assert.equal(warned, ['keys.yaml:4', 'keys.yaml:5', 'keys.yaml:8'], lines.join('\n'));
});

rootTest(
  'determines whether a user can read a file, by its owner, its group and the directories above',
  async ({ dir }) => {
    const file = join(dir, 'inner/keys.yaml');
    await mkdir(join(dir, 'inner'));
    await writeFile(file, '');
    await chmod(dir, 0o755);
    const user = { name: 'a', uid: 4001, gids: [4002, 4003] };
    const set = async (owner: number, group: number, mode: number): Promise<string | undefined> => {
      await chown(file, owner, group);
      await chmod(file, mode);
      return obstacleTo(user, file);
    };
    assert.is(await set(0, 4003, 0o640), undefined);
    assert.is(await set(0, 4004, 0o640), file);
    assert.is(await set(0, 4003, 0o604), file);
    assert.is(await set(4001, 4003, 0o040), file);
    assert.is(await set(0, 0, 0o644), undefined);
    assert.is(await obstacleTo({ name: 'root', uid: 0, gids: [0] }, file), undefined);
    await chmod(join(dir, 'inner'), 0o700);
    assert.is(await obstacleTo(user, file), join(dir, 'inner'));
  },
);

rootTest('does not report a file that the user cannot read as invalid', async ({ dir }) => {
  await check(dir, { keys: keys(), modules: 'hostnam: a\n' });
  await chmod(dir, 0o755);
  await chmod(join(dir, 'modules.yaml'), 0o644);
  // the checkout may be readable by root only
  await using program = await readableProgram();
  const words = [program.path, 'config', 'check', '--config-dir', dir];
  const asNobody = () =>
    spawnSync(process.execPath, words, { uid: 65534, gid: 65534, encoding: 'utf8' });
  const both = asNobody();
  assert.is(both.status, 78, both.stderr);
  assert.match(both.stdout, /^not checked: .*keys\.yaml could not be read as uid 65534$/m);
  assert.match(both.stdout, /modules\.yaml:1:1: unknown key "hostnam"/);
  assert.not.match(both.stdout, /keys\.yaml:/);
  await writeFile(join(dir, 'modules.yaml'), '');
  const denied = asNobody();
  assert.is(denied.status, 3, denied.stderr);
  assert.not.match(denied.stdout, `${dir} is good`);
  await chmod(dir, 0o700);
  const none = asNobody();
  assert.is(none.status, 3);
  assert.match(none.stderr + none.stdout, 'could not be');
});

test.run();
