import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { certificatesSchema } from '../../../../src/certificates/config/config.ts';
import { iotedgectl } from '../../../../src/cli/iotedgectl.ts';
import { identitySchema } from '../../../../src/identity/config/config.ts';
import { keysSchema } from '../../../../src/keys/config/config.ts';
import { modulesSchema } from '../../../../src/modules/config/config.ts';
import { type ConfigNode, parseYaml } from '../../../../src/service/config/yaml.ts';

const test = suite<{ dir: string }>('configuration examples');

const folder = join(import.meta.dirname, '../../../../../config-examples');
const schemas: Readonly<Record<string, SettingSchema>> = {
  keys: asSettings(keysSchema),
  certificates: asSettings(certificatesSchema),
  identity: asSettings(identitySchema),
  modules: asSettings(modulesSchema),
};

/** A schema of settings, as far as the tests read it. */
interface SettingSchema {
  readonly properties?: Readonly<Record<string, SettingSchema>>;
  readonly patternProperties?: Readonly<Record<string, SettingSchema>>;
  readonly additionalProperties?: SettingSchema | boolean;
  readonly items?: SettingSchema;
  readonly anyOf?: readonly SettingSchema[];
  readonly default?: unknown;
}

const asUsersHaveThem = {
  keys: `pkcs11_lib_path: '/usr/lib/softhsm.so'
pkcs11_base_slot: 'pkcs11:slot-id=0?pin-value=1234'

'preloaded_key:device-id': 'pkcs11:slot-id=0;object=device%20id?pin-value=1234'
'preloaded_key:device-ca': 'pkcs11:slot-id=0;object=device%20ca?pin-value=1234'
`,
  certificates: `homedir_path: '/var/lib/iotedge/cs'

'preloaded_cert:device-id': '/var/secrets/device-id.cer'
'preloaded_cert:device-ca': '/var/secrets/device-ca.cer'
'preloaded_cert:trusted-ca': '/var/secrets/trusted-ca.cer'
`,
  identity: `provisioning:
  source: 'dps'
  scope_id: '...'
  attestation:
    method: 'x509'
    identity_cert: 'cert://device-id'
    identity_pk: 'key://device-id'
`,
  modules: `certificates:
  device_ca_cert: 'cert://device-ca'
  device_ca_pk: 'key://device-ca'
  trusted_ca_certs: 'cert://trusted-ca'

agent:
  name: 'edgeAgent'
  type: 'docker'
  config: {image: 'registry.example/agent:1'}

hostname: '...'

connect:
  management_uri: 'unix:///var/lib/iotedge/mgmt.sock'
  workload_uri: 'unix:///var/lib/iotedge/workload.sock'

listen:
  management_uri: 'unix:///var/lib/iotedge/mgmt.sock'
  workload_uri: 'unix:///var/lib/iotedge/workload.sock'

homedir: '/var/lib/iotedge/iotedged'

moby_runtime:
  uri: 'unix:///var/run/docker.sock'
`,
};

/** A schema as it is in its file. */
function asSettings(schema: object): SettingSchema {
  return JSON.parse(JSON.stringify(schema)) as SettingSchema; // JSON schema has no other members of these names
}

function readExample(service: string): Promise<string> {
  return readFile(join(folder, `${service}.yaml`), 'utf8');
}

/** Makes comments settings: a sentence has one blank after its mark; a setting has none, or its indentation. */
function uncommented(text: string): string {
  return text.replaceAll(/^#(?! \S)/gm, '');
}

/** Checks the four files as an operator does; returns the output, empty when they are valid. */
async function check(dir: string, texts: Readonly<Record<string, string>>): Promise<string> {
  const lines: string[] = [];
  for (const [service, text] of Object.entries(texts)) {
    await writeFile(join(dir, `${service}.yaml`), text, { mode: 0o640 });
  }
  const print = (line: string) => lines.push(line);
  const code = await iotedgectl(['config', 'check', '--config-dir', dir], print, print);
  return code === 0 ? '' : lines.join('\n');
}

async function examples(change: (text: string) => string): Promise<Record<string, string>> {
  const texts: Record<string, string> = {};
  for (const service of Object.keys(schemas)) texts[service] = change(await readExample(service));
  return texts;
}

function members(nodes: readonly ConfigNode[], key?: (name: string) => boolean): ConfigNode[] {
  return nodes.flatMap((node) => {
    if (node.kind === 'list') return key === undefined ? node.items : [];
    if (node.kind === 'scalar') return [];
    const entries = [...node.entries].filter(([name]) => key?.(name) ?? true);
    return entries.map(([, entry]) => entry.node);
  });
}

function isScalar(value: unknown): value is string | number | boolean {
  return ['string', 'number', 'boolean'].includes(typeof value);
}

/** Whether one of the nodes has the default of a schema, when that is a scalar. */
function showDefault(nodes: readonly ConfigNode[], value: unknown): boolean {
  return !isScalar(value) || nodes.some((node) => node.kind === 'scalar' && node.value === value);
}

/** The settings of a schema that a file omits, or has with another value than their default. */
function omissions(schema: SettingSchema, nodes: readonly ConfigNode[], path = ''): string[] {
  const missing: string[] = [];
  const compare = (name: string, inner: SettingSchema, found: readonly ConfigNode[]) => {
    if (found.length === 0) missing.push(`${path}${name}`);
    if (inner.anyOf === undefined && !showDefault(found, inner.default)) {
      missing.push(`${path}${name}: ${JSON.stringify(inner.default)}`);
    }
    missing.push(...omissions(inner, found, `${path}${name}.`));
  };
  for (const [name, inner] of Object.entries(schema.properties ?? {})) {
    compare(
      name,
      inner,
      members(nodes, (key) => key === name),
    );
  }
  for (const [pattern, inner] of Object.entries(schema.patternProperties ?? {})) {
    compare(
      pattern,
      inner,
      members(nodes, (key) => new RegExp(pattern).test(key)),
    );
  }
  const { additionalProperties: rest, items, anyOf = [] } = schema;
  if (typeof rest === 'object') missing.push(...omissions(rest, members(nodes), `${path}*.`));
  if (items !== undefined) missing.push(...omissions(items, members(nodes), `${path}[].`));
  return [...missing, ...anyOf.flatMap((inner) => omissions(inner, nodes, path))];
}

test.before.each(async (context) => {
  context.dir = await mkdtemp(join(tmpdir(), 'iotedge-examples-'));
});
test.after.each(async ({ dir }) => {
  await rm(dir, { recursive: true });
});

test('are valid as they are', async ({ dir }) => {
  assert.is(await check(dir, await examples((text) => text)), '');
});

test('are valid with every setting in force', async ({ dir }) => {
  assert.is(await check(dir, await examples(uncommented)), '');
});

test('are valid as the documentation has them', async ({ dir }) => {
  assert.is(await check(dir, asUsersHaveThem), '');
});

for (const [service, schema] of Object.entries(schemas)) {
  test(`contain every setting of ${service}.yaml, with its default`, async () => {
    const { node } = parseYaml(uncommented(await readExample(service)), service);
    assert.equal(omissions(schema, node === undefined ? [] : [node]), []);
  });

  test(`name the schema of ${service}.yaml for editors, beside the file`, async () => {
    const [first = ''] = (await readExample(service)).split('\n');
    const path = /^# yaml-language-server: \$schema=(\S+)$/.exec(first)?.[1] ?? '';
    const schemaText = await readFile(join(folder, path), 'utf8');
    assert.equal(JSON.parse(schemaText), schema);
  });
}

test.run();
