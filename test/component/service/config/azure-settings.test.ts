import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { certificatesSchema } from '../../../../src/certificates/config/config.ts';
import { iotedgectl } from '../../../../src/cli/iotedgectl.ts';
import { identitySchema } from '../../../../src/identity/config/config.ts';
import { keysSchema } from '../../../../src/keys/config/config.ts';
import { modulesSchema } from '../../../../src/modules/config/config.ts';

const test = suite<{ dir: string }>('settings of Azure IoT Edge 1.x');

test.before.each(async (context) => {
  context.dir = await mkdtemp(join(tmpdir(), 'iotedge-azure-'));
});
test.after.each(async ({ dir }) => {
  await rm(dir, { recursive: true });
});

/** The problems of a file with settings of Azure IoT Edge. */
async function check(dir: string, service: string, text: string): Promise<readonly string[]> {
  await writeFile(join(dir, `${service}.yaml`), text, { mode: 0o640 });
  const output: string[] = [];
  const print = (line: string) => void output.push(line);
  const code = await iotedgectl(['config', 'check', '--config-dir', dir], print, print);
  assert.is(code, 78, text);
  return output;
}

const cases: readonly (readonly [string, string, string])[] = [
  ['identity', 'provisioning: {id_scope: a}', ': here it is scope_id'],
  ['identity', 'provisioning: {always_reprovision_on_startup: true}', 'Reprovision'],
  ['identity', 'provisioning: {dynamic_reprovisioning: true}', 'Reprovision'],
  ['identity', 'provisioning: {iothub_hostname: h}', 'the hub that it is provisioned with'],
  [
    'identity',
    'provisioning: {local_gateway_hostname: h}',
    ': here it is provisioning.gateway_hostname',
  ],
  ['modules', 'parent_hostname: h', ': here it is provisioning.gateway_hostname of identity.yaml'],
  ['identity', 'provisioning: {attestation: {registration_id: r}}', 'provisioning.registration_id'],
  ['identity', 'provisioning: {attestation: {symmetric_key: {value: k}}}', 'method x509'],
  ['identity', 'global_endpoint: https://h', 'provisioning.global_endpoint of identity.yaml'],
  ['identity', 'cloud_timeout_sec: 5', 'cloud.timeout_s of identity.yaml'],
  ['identity', 'principal: [{name: a, uid: 1}]', 'principals of identity.yaml'],
  [
    'keys',
    'aziot_keys: {pkcs11_lib_path: /a}',
    'pkcs11_lib_path and pkcs11_base_slot of keys.yaml',
  ],
  ['keys', 'preloaded_keys: {device-id: x}', "'preloaded_key:<id>'"],
  ['keys', 'principal: [{uid: 1, keys: ["*"]}]', 'authorization.acl'],
  ['certificates', 'preloaded_certs: {device-id: x}', "'preloaded_cert:<id>'"],
  ['certificates', 'cert_issuance: {est: {}}', 'certificates and issuers of certificates.yaml'],
  ['modules', 'edge_ca: {cert: file:///a}', 'certificates.device_ca_cert and device_ca_pk'],
  ['modules', 'provisioning: {source: dps}', 'provisioning of identity.yaml'],
  ['modules', 'moby_runtime: {network: a}', 'network of modules.yaml'],
  ['modules', 'trust_bundle_cert: file:///a', "'preloaded_cert:trusted-ca'"],
  ['modules', 'agent: {config: {image: a, env: {A: b}}}', ': here it is agent.env'],
  ['modules', 'allow_elevated_docker_permissions: false', 'allow_elevated of modules.yaml'],
];

test('are reported with the name of the setting here', async ({ dir }) => {
  for (const [service, text, expected] of cases) {
    const output = await check(dir, service, `${text}\n`);
    assert.ok(
      output.some((line) => line.includes(expected)),
      `${text}: ${output.join('\n')}`,
    );
    await rm(join(dir, `${service}.yaml`));
  }
});

test('that name files of keys and certificates are reported with the setting for preloading', async ({
  dir,
}) => {
  const text = 'certificates: {device_ca_cert: /a/ca.pem, device_ca_pk: /a/ca.key}\n';
  const [certificate = '', key = ''] = await check(dir, 'modules', text);
  assert.match(certificate, 'preload it in certificates.yaml, write cert://<id>');
  assert.match(key, 'preload it in keys.yaml, write key://<id>');
});

/** Every key that a schema has anywhere. */
function keysOf(schema: unknown): readonly string[] {
  if (typeof schema !== 'object' || schema === null) return [];
  return Object.entries(schema).flatMap(([name, value]) => [
    ...(name === 'properties' ? Object.keys(value as object) : []),
    ...keysOf(value),
  ]);
}

test('name existing settings', async ({ dir }) => {
  const schemas = {
    keys: keysSchema,
    certificates: certificatesSchema,
    identity: identitySchema,
    modules: modulesSchema,
  };
  const known = new Map(Object.entries(schemas).map(([name, schema]) => [name, keysOf(schema)]));
  for (const [service, text] of cases) {
    for (const line of await check(dir, service, `${text}\n`)) {
      for (const [, setting = '', file = ''] of line.matchAll(/([a-z0-9_.]+) of ([a-z]+)\.yaml/g)) {
        for (const step of setting.split('.')) {
          assert.ok(
            step === 'settings' || known.get(file)?.includes(step),
            `${step} of ${file}.yaml`,
          );
        }
      }
    }
    await rm(join(dir, `${service}.yaml`));
  }
});

test.run();
