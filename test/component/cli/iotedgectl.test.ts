import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { formatJson, formatRecord, formatTable, formatTime } from '../../../src/cli/output.ts';
import { runIotedgectl as run } from '../../support/clients/run-iotedgectl.ts';

const test = suite<{ dir: string }>('iotedgectl');

test.before.each(async (context) => {
  context.dir = await mkdtemp(join(tmpdir(), 'iotedgectl-'));
});
test.after.each(async ({ dir }) => {
  await rm(dir, { recursive: true });
});

test('lists every command in its help', async () => {
  const { code, out } = await run('--help');
  assert.is(code, 0);
  for (const words of [
    'status',
    'keys list',
    'keys delete',
    'certificates list',
    'certificates watch',
    'identity show',
    'config check',
  ]) {
    assert.match(out, words);
  }
});

test('exits with 2 for an unknown command, and names it', async () => {
  const { code, err } = await run('keys', 'burn');
  assert.is(code, 2);
  assert.match(err, 'keys burn');
  assert.match(err, "try 'iotedgectl --help'");
});

test('exits with 2 for an option that the command does not have', async () => {
  const { code, err } = await run('status', '--wrong');
  assert.is(code, 2);
  assert.match(err, "try 'iotedgectl status --help'");
});

test('says of an ambiguous option what is wrong, in one sentence', async () => {
  const { code, err } = await run('modules', 'logs', 'sensor', '--tail', '-1');
  assert.is(code, 2);
  assert.match(err, /^iotedgectl: modules logs: option '--tail' argument is ambiguous$/m);
});

test('names what a command takes as its help does', async () => {
  assert.match((await run('modules', 'show')).err, /modules show takes NAME$/m);
});

test('lists the commands of a group without a command', async () => {
  const { code, out, err } = await run('keys');
  assert.is(code, 2);
  assert.is(out, '');
  assert.match(err, 'keys list');
  assert.not.match(err, 'modules list');
});

test('shows the help of a group and of a command, wherever --help is', async () => {
  const group = await run('keys', '--help');
  assert.is(group.code, 0);
  assert.match(group.out, 'keys list');
  assert.equal(await run('help', 'keys'), group);
  const command = await run('keys', 'list', '--help');
  assert.is(command.code, 0);
  assert.equal(await run('help', 'keys', 'list'), command);
  assert.equal(await run('keys', '-h', 'list'), command);
  assert.equal(await run('help', 'keys', 'list', '--json'), command);
  assert.is((await run('help', 'burn')).code, 2);
  const more = await run('help', 'keys', 'list', 'extra');
  assert.is(more.code, 2);
  assert.match(more.err, '"keys list extra"');
});

test('exits with 2 for an option before the command', async () => {
  const { code, err } = await run('--json', 'status');
  assert.is(code, 2);
  assert.match(err, '--json');
});

test('accepts -h for --help', async () => {
  assert.is((await run('-h')).out, (await run('--help')).out);
  assert.is((await run('status', '-h')).out, (await run('status', '--help')).out);
});

test('shows the options of a command', async () => {
  const { code, out } = await run('status', '--help');
  assert.is(code, 0);
  assert.match(out, '--start');
});

test('accepts a missing configuration', async ({ dir }) => {
  assert.is((await run('config', 'check', '--config-dir', dir)).code, 0);
});

test('does not accept a missing directory of configuration', async ({ dir }) => {
  const { code, err } = await run('config', 'check', '--config-dir', join(dir, 'absent'));
  assert.is(code, 1);
  assert.match(err, join(dir, 'absent'));
});

test('exits with 78 for an invalid key, with its place and the nearest valid one', async ({
  dir,
}) => {
  await writeFile(join(dir, 'identity.yaml'), 'log_level: info\nprovisionin:\n  source: dps\n');
  const { code, out } = await run('config', 'check', '--config-dir', dir);
  assert.is(code, 78);
  assert.match(out, /identity\.yaml:2:1/);
  assert.match(out, 'provisioning');
});

test('validates the names of certificates as the service does', async ({ dir }) => {
  const text = "certificates:\n  hub: { subject: 'CN=', dns: [hub.local, 'a b'] }\n";
  await writeFile(join(dir, 'certificates.yaml'), text);
  const { code, out } = await run('config', 'check', '--config-dir', dir);
  assert.is(code, 78);
  assert.match(out, /certificates\.yaml:2:\d+: .*CN=/);
  assert.match(out, /certificates\.yaml:2:\d+: .*"a b" is not a valid dns name/);
});

test('warns of rules for users and groups that do not exist on this machine, without an error', async ({
  dir,
}) => {
  const rules = [
    '{user: nobody-here, actions: ["*"]}',
    '{user: root, group: nowhere, actions: ["*"]}',
  ];
  const text = `authorization:\n  backend: acl\n  acl:\n${rules.map((rule) => `    - ${rule}\n`).join('')}`;
  await writeFile(join(dir, 'certificates.yaml'), text);
  const { code, out } = await run('config', 'check', '--config-dir', dir);
  assert.is(code, 0);
  assert.match(out, /^warning: .*certificates\.yaml:4:14: .*"nobody-here"/m);
  assert.match(out, /^warning: .*certificates\.yaml:5:27: .*"nowhere"/m);
  assert.not.match(out, '"root"');
  const json = await run('config', 'check', '--config-dir', dir, '--json');
  assert.is(json.code, 0);
  assert.match(json.out, /"severity": ?"warning"/);
  await writeFile(join(dir, 'certificates.yaml'), text.replace('acl', 'polkit'));
  assert.not.match((await run('config', 'check', '--config-dir', dir)).out, 'warning');
});

test('aligns tables and records, and marks missing values', () => {
  assert.is(formatTable(['A', 'LONG'], [['xyz', '1']]), 'A    LONG\nxyz  1');
  assert.is(formatRecord({ a: '', long: 'x' }), '   a: -\nlong: x');
  assert.is(formatTime(0), '-');
  assert.is(formatTime(1_000_000), '1970-01-01 00:00 UTC');
});

test('prints no control characters', () => {
  const hostile = 'a\x1b[2Jb\nc\x9b31m\u202ed';
  const shown = 'a\ufffd[2Jb\ufffdc\ufffd31m\ufffdd';
  assert.is(formatTable(['A'], [[hostile]]), `A\n${shown}`);
  assert.is(formatRecord({ a: hostile }), `a: ${shown}`);
  const json = formatJson({ [hostile]: [hostile] });
  for (const control of ['\x1b', '\x9b', '\u202e']) assert.not.match(json, control);
  assert.equal(JSON.parse(json), { [hostile]: [hostile] });
});

test('prints no control characters from its arguments', async () => {
  assert.not.match((await run('status', '--\x1b[2J')).err, '\x1b');
});

test.run();
