import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { iotedgectl } from '../../../../src/cli/iotedgectl.ts';
import { configCheck } from '../../../../src/cli/verbs/config-check.ts';

const test = suite('iotedgectl config check with secrets in the wrong place');

/** The output of the command for these files, as text or JSON, and its exit code. */
async function check(
  files: Readonly<Record<string, string>>,
  json = false,
): Promise<{ readonly code: number; readonly output: string }> {
  const dir = await mkdtemp(join(tmpdir(), 'iotedge-config-secrets-'));
  try {
    for (const [service, text] of Object.entries(files)) {
      await writeFile(join(dir, `${service}.yaml`), text, { mode: 0o640 });
    }
    const lines: string[] = [];
    const options = { 'config-dir': dir, json };
    const print = (line: string) => void lines.push(line);
    const code = await configCheck.run({ words: [], options, print } as never);
    return { code, output: lines.join('\n') };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

const uris = [
  'pkcs11:token=a;object=c?pin-value=SECRET1',
  'PKCS11:token=a;object=c?pin-value=SECRET1',
  ' pkcs11:token=a;object=c?pin-value=SECRET1',
  'pkcs11:token=Edge pairs;object=c?pin-value=SECRET1',
  'pkcs11:token=a;object=c;pin-value=SECRET1',
  'pkcs11%3Atoken=a%3Bobject=c%3Fpin-value%3DSECRET1',
  'key://pkcs11:token=a?pin-value=SECRET1',
  'cert://pkcs11:token=a?pin-value=SECRET1',
  'pkcs11:?SECRET1',
  'HostName=h.example;DeviceId=d;SharedAccessKey=SECRET1',
  'https://user:SECRET1@host.example',
];

const identity = (cert: string, key: string) => `provisioning:
  source: dps
  scope_id: 0ne0
  attestation:
    method: x509
    identity_cert: ${cert}
    identity_pk: ${key}
`;

/** Files by service with a place for the secret; all of them are invalid. */
const templates: readonly (readonly [string, (secret: string) => string])[] = [
  ['identity', (secret) => identity("'cert://device-id'", secret)],
  ['identity', (secret) => identity(secret, "'key://device-id'")],
  ['identity', (secret) => `${secret}: x\n`],
  ['identity', (secret) => `provisioning: {${secret}: x}\n`],
  ['identity', (secret) => `provisioning: {source: ${secret}}\n`],
  [
    'identity',
    (secret) => `principals: {${secret}: {uid: x}, other: {uid: 1, module_id: ${secret}}}\n`,
  ],
  ['identity', (secret) => `cloud: {proxy: ['${secret.slice(1, -1)}']}\n`],
  ['certificates', (secret) => `certificates: {a: {key_id: ${secret}}}\n`],
  ['certificates', (secret) => `certificates: {a: {issuer: ${secret}, ${secret}: 1}}\n`],
  ['certificates', (secret) => `certificates: {${secret}: {method: 1}}\n`],
  [
    'certificates',
    (secret) => `certificates: {a: {method: 1, subject: ${secret}, dns: [${secret}]}}\n`,
  ],
  ['certificates', (secret) => `issuers: {${secret}: {key_id: ${secret}}}\n`],
  ['certificates', (secret) => `trust_bundle: [${secret}]\n`],
  ['certificates', (secret) => `'preloaded_cert:a': [${secret}, '']\n`],
  ['certificates', (secret) => `'preloaded_cert:${secret.slice(1, -1)}': ${secret}\n`],
  ['keys', (secret) => `'preloaded_key:${secret.slice(1, -1)}': /x\n`],
  ['keys', (secret) => `'preloadedkey:${secret.slice(1, -1)}': /x\n`],
  ['keys', (secret) => `keys: {${secret}: {usages: [derive]}}\n`],
  ['keys', (secret) => `tokens: {${secret}: {uri: 'pkcs11:'}}\n`],
  ['keys', (secret) => `pkcs11_lib_path: ${secret}\n`],
  ['keys', (secret) => `symmetric_store: ${secret}\n`],
  ['keys', (secret) => `log_level: ${secret}\n`],
  ['keys', (secret) => `${secret}: x\n${secret}: y\n`],
  ['keys', (secret) => `grants: [{user: ${secret}, actions: [a], match: {key_id: 1}}]\n`],
  ['keys', (secret) => `authorization: {acl: [{user: ${secret}, actions: []}]}\n`],
  ['keys', (secret) => `authorization: {acl: [{${secret}: x, actions: [a]}]}\n`],
  ['keys', (secret) => `log_level: !<${secret.slice(1, -1)}> x\n`],
  ['keys', (secret) => `log_level: !${secret.slice(1, -1)} x\n`],
  ['keys', (secret) => `log_level: *${secret.slice(1, -1)}\n`],
  ['keys', (secret) => `log_level: ${secret} x\n`],
  ['keys', (secret) => `log_level: [${secret}\n`],
  ['keys', (secret) => `log_level: ${secret.slice(0, -1)}\n`],
  ['keys', (secret) => `? [${secret}]\n: x\n`],
  ['modules', (secret) => `${secret}: x\n`],
  ['modules', (secret) => `certificates: {device_ca_pk: ${secret}, device_ca_cert: ${secret}}\n`],
  ['modules', (secret) => `certificates: {trusted_ca_certs: [${secret}]}\n`],
  [
    'modules',
    (secret) => `agent: {name: ${secret}, type: ${secret}, config: {image: ${secret}}}\n`,
  ],
  [
    'modules',
    (secret) => `agent: {name: a, config: {auth: {password: [${secret}], ${secret}: 1}}}\n`,
  ],
  ['modules', (secret) => `agent: {name: a, env: {${secret}: [1]}}\n`],
  ['modules', (secret) => `hostname: [${secret}]\nmoby_runtime: {uri: ${secret}}\n`],
  ['modules', (secret) => `connect: {workload_uri: ${secret}, management_uri: ${secret}}\n`],
];

test('quotes no secret, whichever setting, key or list contains it', async () => {
  const services = ['keys', 'certificates', 'identity', 'modules'];
  const byService = services.map((name) => templates.filter(([service]) => service === name));
  const most = Math.max(...byService.map(({ length }) => length));
  for (const uri of uris) {
    for (let at = 0; at < most; at++) {
      const files = Object.fromEntries(
        byService
          .map((list) => list[at] ?? [])
          .flatMap(([service, template]) =>
            service === undefined ? [] : [[service, template?.(`'${uri}'`) ?? '']],
          ),
      );
      const { code, output } = await check(files, at % 2 === 0);
      assert.is(code, 78);
      assert.not.match(output, 'SECRET1', `${JSON.stringify(files)} ${output}`);
      for (const service of Object.keys(files))
        assert.match(output, `/${service}.yaml`, files[service]);
    }
  }
});

test('reports where the key of a token belongs', async () => {
  const [uri = ''] = uris;
  for (const [service, text] of [
    ['identity', identity(`'${uri}'`, `'${uri}'`)],
    ['identity', identity("'cert://a'", `'key://${uri}'`)],
    ['identity', identity("'cert://a'", `'${uri.replace('pkcs11:', 'PKCS11%3A')}'`)],
    ['certificates', `issuers: {a: {key_id: '${uri}'}}\n`],
  ] as const) {
    const { output } = await check({ [service]: text });
    assert.match(output, 'preload it in keys.yaml, write key://<id>');
  }
  const { output } = await check({ identity: identity(`'${uri}'`, "'key://a'") });
  assert.match(output, 'preload it in certificates.yaml, write cert://<id>');
});

test('accepts references with and without their scheme for the keys of certificates', async () => {
  const text = `certificates: {a: {key_id: 'key://my-key'}}\nissuers: {b: {key_id: my-key}}\n`;
  assert.is((await check({ certificates: text })).code, 0);
});

test('quotes no secret from the name of the directory', async () => {
  const parent = await mkdtemp(join(tmpdir(), 'iotedge-config-secrets-'));
  try {
    const dir = join(parent, 'pkcs11:token=a?pin-value=SECRET1');
    for (const make of [
      () => Promise.resolve(undefined),
      () => mkdir(dir),
      () => writeFile(join(dir, 'modules.yaml'), 'a: b\n'),
    ]) {
      await make();
      for (const more of [[], ['--json']]) {
        const shown: string[] = [];
        const show = (line: string) => void shown.push(line);
        await iotedgectl(['config', 'check', '--config-dir', dir, ...more], show, show);
        assert.ok(shown.length > 0);
        assert.not.match(shown.join('\n'), 'SECRET1');
      }
    }
  } finally {
    await rm(parent, { recursive: true });
  }
});

test.run();
