import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type KeysConfig,
  keysSchema,
  parseKeysConfig,
} from '../../../../src/keys/config/config.ts';
import { parseUri } from '../../../../src/keys/config/pkcs11-uri.ts';
import { loadConfig } from '../../../../src/service/config/config.ts';
import { ConfigError, type Problem } from '../../../../src/service/config/config-problem.ts';
import { loadText } from '../../../support/config-texts.ts';

const test = suite('keys configuration');
const form = { service: 'keys', schema: keysSchema, parse: parseKeysConfig };

async function load(
  text: string,
  { mode = 0o640, warnings = [] }: { mode?: number | undefined; warnings?: Problem[] } = {},
): Promise<KeysConfig> {
  const dir = await mkdtemp(join(tmpdir(), 'iotedge-keys-config-'));
  try {
    const warn = (warning: Problem) => void warnings.push(warning);
    return await loadText({ ...form, mode, warn }, dir, text);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function problemsOf(text: string, mode?: number): Promise<readonly string[]> {
  try {
    await load(text, { mode });
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(({ line, path }) => `${line} ${path}`);
  }
}

const published = `# keys.yaml
pkcs11_lib_path: '/usr/lib/softhsm.so'
pkcs11_base_slot: 'pkcs11:slot-id=0?pin-value=1234'

'preloaded_key:device-id': 'pkcs11:slot-id=0;object=device%20id?pin-value=1234'
'preloaded_key:device-ca': 'pkcs11:slot-id=0;object=device%20ca?pin-value=1234'
`;

test('accepts the documented file', async () => {
  const warnings: Problem[] = [];
  const config = await load(published, { warnings });
  assert.is(config.pkcs11_lib_path, '/usr/lib/softhsm.so');
  assert.equal(Object.keys(config.preloaded), ['device-id', 'device-ca']);
  assert.equal(warnings, []);
});

test('reads an empty file as a file store', async () => {
  const config = await load('# nothing\n');
  assert.is(config.pkcs11_base_slot, undefined);
  assert.equal([config.preloaded, config.tokens, config.keys], [{}, {}, {}]);
});

test('refuses a PIN in a world-readable file, and warns of the file otherwise', async () => {
  assert.equal(await problemsOf(published, 0o644), [
    '3 pkcs11_base_slot',
    '5 preloaded_key:device-id',
    '6 preloaded_key:device-ca',
  ]);
  const warnings: Problem[] = [];
  await load("symmetric_store: 'file'\n", { mode: 0o644, warnings });
  assert.is(warnings.length, 1);
  assert.match(warnings[0]?.file ?? '', /keys\.yaml$/);
});

test('finds a secret in a readable file however it is written, also where a drop-in overrides it', async () => {
  const good = 'pkcs11_lib_path: /l.so\n';
  for (const [text, places] of [
    [
      `${good}pkcs11_base_slot: 'pkcs11:token=Edge pairs?module-path=/x&pin-value=1'`,
      ['2 pkcs11_base_slot'],
    ],
    [`${good}tokens: {a: {uri: "pkcs11:token=a?\\x70in-value=1"}}`, ['2 tokens.a.uri']],
    [`${good}'preloaded_key:a': 'file:///x?pin-value=1'`, ['2 preloaded_key:a']],
    [
      `${good}grants: [{user: iotedge-identity, actions: [a], match: {x: 'https://a:b@c'}}]`,
      ['2 grants[0].match.x'],
    ],
    [
      `${good}grants: [{user: iotedge-identity, actions: [a], match: {'pin-value=1': x}}]`,
      ['2 grants[0].match.pin-value=…'],
    ],
  ] as const) {
    assert.equal(await problemsOf(text, 0o644), places);
    assert.equal(await problemsOf(text, 0o640), []);
  }
  const source = `${good}pkcs11_base_slot: 'pkcs11:token=a?pin-source=file:/run/pin'`;
  assert.equal(await problemsOf(source, 0o644), []);
});

test('checks every file by its own mode', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'iotedge-keys-config-'));
  try {
    await writeFile(join(dir, 'keys.yaml'), published, { mode: 0o644 });
    await mkdir(join(dir, 'keys.d'));
    const over =
      "pkcs11_base_slot: 'pkcs11:token=b'\n'preloaded_key:device-id': file:///a\n'preloaded_key:device-ca': file:///b\n";
    await writeFile(join(dir, 'keys.d/x.yaml'), over, { mode: 0o640 });
    const error: unknown = await loadConfig({ dir, ...form }).catch((thrown: unknown) => thrown);
    assert.instance(error, ConfigError);
    assert.equal(
      error instanceof ConfigError && error.problems.map(({ file, line }) => [file, line]),
      [3, 5, 6].map((line) => [join(dir, 'keys.yaml'), line]),
    );
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

test('reads a raw space in a URI as %20', async () => {
  const config = await load(`pkcs11_lib_path: '/usr/lib/softhsm/libsofthsm2.so'
pkcs11_base_slot: 'pkcs11:token=Edge pairs?pin-value=1234'
'preloaded_key:device-id': 'pkcs11:token=Edge pairs;object=device-id?pin-value=1234'
`);
  const source = config.preloaded['device-id'];
  const uri = source?.kind === 'token' ? source.uri : '';
  assert.equal(parseUri(uri), parseUri(uri.replaceAll(' ', '%20')));
  assert.is(parseUri('pkcs11:token=a?pin-value=12 34').pin?.kind, 'value');
});

test('reports the place of a wrong setting', async () => {
  const text = `pkcs11_base_slot: 'pkcs11:slot-id=zero'
'preloaded_key:../x': 'pkcs11:object=x'
'preloaded_key:none': '/no/scheme'
'preloaded_key:whole': 'pkcs11:token=t'
keys:
  device-id: {usages: [sign, fly]}
`;
  const withUsages = await problemsOf(text);
  assert.equal(withUsages, ['6 keys.device-id.usages[1]']);
  assert.equal(await problemsOf(text.replace(', fly', '')), [
    '1 pkcs11_base_slot',
    '2 preloaded_key:../x',
    '2 preloaded_key:../x',
    '3 preloaded_key:none',
    '4 preloaded_key:whole',
    '4 preloaded_key:whole',
  ]);
});

test('accepts tokens by name and files as keys', async () => {
  const config = await load(`pkcs11_lib_path: /lib/a.so
tokens:
  second: {module: /lib/b.so, uri: 'pkcs11:token=second', pin_file: /run/credentials/pin}
'preloaded_key:a': 'file:///etc/secret/a.pem'
'preloaded_key:b': 'pkcs11:token=second;object=b'
keys:
  b: {usages: [sign, derive]}
`);
  assert.equal(config.preloaded['a'], { kind: 'file', path: '/etc/secret/a.pem' });
  assert.equal(config.keys['b']?.usages, ['sign', 'derive']);
});

test('reports the place of an invalid URI, and never its content', async () => {
  const problems = await problemsOf(`pkcs11_lib_path: /lib/a.so
pkcs11_base_slot: 'pkcs11:token=%FF'
tokens:
  second: {uri: 'pkcs11:token=x?pin-value=%FF'}
'preloaded_key:a': 'pkcs11:object=%00'
'preloaded_key:b': 'pkcs11:object=b?pin-value=a?b'
`);
  assert.equal(problems, ['2 pkcs11_base_slot', '4 tokens.second.uri', '5 preloaded_key:a']);
});

test('finds inconsistencies between settings', async () => {
  const preloaded = "'preloaded_key:a': 'pkcs11:object=a'";
  for (const [text, places] of [
    ["pkcs11_base_slot: 'pkcs11:slot-id=0'", ['1 pkcs11_base_slot']],
    ["pkcs11_base_slot: 'pkcs11:slot-id=0?module-path=/l.so'", []],
    ["pkcs11_lib_path: /l.so\npkcs11_base_slot: 'pkcs11:slot-id=0'", []],
    ['symmetric_store: pkcs11', ['1 symmetric_store']],
    ["pkcs11_lib_path: /l.so\npkcs11_base_slot: 'pkcs11:slot-id=0'\nsymmetric_store: pkcs11", []],
    ['symmetric_store: file', []],
    [preloaded, ['1 preloaded_key:a']],
    ["'preloaded_key:a': 'pkcs11:id=%01?module-path=/l.so'", []],
    ["'preloaded_key:a': 'pkcs11:type=private?module-path=/l.so'", ['1 preloaded_key:a']],
    [`${preloaded}\ntokens: {t: {module: /l.so, uri: 'pkcs11:token=t'}}`, []],
    ["tokens: {t: {uri: 'pkcs11:token=t'}}", ['1 tokens.t']],
    ["tokens: {t: {uri: 'pkcs11:token=t?module-path=/l.so'}}", []],
    ["pkcs11_lib_path: /l.so\ntokens: {t: {uri: 'pkcs11:token=t'}}", []],
    [
      "tokens: {t: {module: /l.so, uri: 'pkcs11:token=t?pin-value=1', pin_file: /pin}}",
      ['1 tokens.t.pin_file'],
    ],
    ["tokens: {t: {module: /l.so, uri: 'pkcs11:token=t', pin_file: /pin}}", []],
    ["keys: {'../x': {usages: [sign]}}", ['1 keys.../x']],
    ['keys: {x: {}}', []],
  ] as const) {
    assert.equal(await problemsOf(text), places, text);
  }
});

test('refuses a base key without the one usage of its derived keys', async () => {
  const problems = await problemsOf(`keys:
  alone: {usages: [derive]}
  both: {usages: [derive, sign, encrypt]}
  pair: {usages: [derive, decrypt]}
  base: {usages: [derive, encrypt]}
  plain: {usages: [sign, decrypt]}
`);
  assert.equal(problems, ['2 keys.alone.usages', '3 keys.both.usages', '4 keys.pair.usages']);
});

test.run();
