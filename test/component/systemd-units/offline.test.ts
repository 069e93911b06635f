import { readdirSync } from 'node:fs';
import { mkdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { serviceUsers } from '../../../src/service/config/common-config.ts';
import { type Outcome, runCommand } from '../../support/command.ts';
import { StagedRoot } from '../../support/systemd/staged-root.ts';
import { unitsFolder } from '../../support/systemd/unit-file.ts';
import { suite } from '../../support/timed-suite.ts';

const test = suite<{ root: StagedRoot }>('units, by the offline tools of systemd');

test.before(async (context) => {
  context.root = await StagedRoot.create();
});
test.after(({ root }) => root[Symbol.asyncDispose]());

const units = readdirSync(unitsFolder).filter((name) => /\.(service|socket|timer)$/.test(name));
const dropIns = readdirSync(join(unitsFolder, 'drop-ins'));
const unitOf = (dropIn: string) => `iotedge-${dropIn.split('-')[0]}.service`;

function verify({ path }: StagedRoot, names: readonly string[]): Promise<Outcome> {
  return runCommand('systemd-analyze', ['verify', '--man=no', `--root=${path}`, ...names]);
}

/** Whether the exposure of a unit, in tenths of a point, is at most this. */
async function isWithin({ path }: StagedRoot, unit: string, tenths: number): Promise<boolean> {
  const options = [`--root=${path}`, '--offline=true', '--no-pager', `--threshold=${tenths}`];
  const { stdout, code } = await runCommand('systemd-analyze', ['security', ...options, unit]);
  assert.match(stdout.toString(), `Overall exposure level for ${unit}`);
  return code === 0;
}

test('have no mistake that systemd finds', async ({ root }) => {
  assert.is(units.length, 8);
  const { code, stdout, stderr } = await verify(root, units);
  assert.equal({ code, output: `${stdout.toString()}${stderr}` }, { code: 0, output: '' });
});

test('have drop-ins without a mistake that systemd finds', async () => {
  for (const dropIn of dropIns) {
    await using root = await StagedRoot.create();
    await root.useDropIn(unitOf(dropIn), dropIn);
    const { code, stderr } = await verify(root, [unitOf(dropIn)]);
    assert.equal({ dropIn, code, stderr }, { dropIn, code: 0, stderr: '' });
  }
});

test('are exposed by no more than the network that they need', async ({ root }) => {
  assert.ok(await isWithin(root, 'iotedge-keys.service', 10));
  for (const name of ['certificates', 'identity', 'modules'])
    assert.ok(await isWithin(root, `iotedge-${name}.service`, 16), name);
  assert.not(await isWithin(root, 'iotedge-identity.service', 5), 'the threshold is looked at');
});

test('are as closed with the drop-in of a token', async () => {
  for (const name of ['encrypted-pin', 'softhsm', 'tpm', 'usb-token']) {
    const dropIn = `keys-${name}.conf`;
    await using root = await StagedRoot.create();
    await root.useDropIn('iotedge-keys.service', dropIn);
    assert.ok(await isWithin(root, 'iotedge-keys.service', 10), dropIn);
  }
});

test('run as users that sysusers makes, and name groups that it makes', async ({ root }) => {
  const file = join(unitsFolder, 'iotedge.sysusers');
  const options = ['--dry-run', `--root=${root.path}`, file];
  const { code, stderr } = await runCommand('systemd-sysusers', options);
  assert.is(code, 0, stderr);
  for (const user of serviceUsers) assert.match(stderr, `Creating user '${user}'`);
  for (const group of ['iotedge-admin', 'docker'])
    assert.match(stderr, `Creating group '${group}'`);
});

test('have directories above theirs that are of root and that all may enter', async ({ root }) => {
  await mkdir(join(root.path, 'etc'), { recursive: true });
  for (const [program, file] of [
    ['systemd-sysusers', 'iotedge.sysusers'],
    ['systemd-tmpfiles', 'iotedge.tmpfiles'],
  ] as const) {
    const options = program === 'systemd-tmpfiles' ? ['--create'] : [];
    const args = [...options, `--root=${root.path}`, join(unitsFolder, file)];
    const { code, stderr } = await runCommand(program, args);
    assert.is(code, 0, stderr);
  }
  for (const path of ['etc/iotedge', 'var/lib/iotedge']) {
    const { mode, uid } = await stat(join(root.path, path));
    assert.equal({ mode: mode & 0o7777, uid }, { mode: 0o755, uid: process.getuid?.() });
  }
  const users = await readFile(join(root.path, 'etc/passwd'), 'utf8');
  const [, owner] = /^iotedge-certificates:[^:]*:(\d+):/m.exec(users) ?? [];
  const { mode, uid } = await stat(join(root.path, 'var/lib/iotedge/published'));
  assert.equal({ mode: mode & 0o7777, uid }, { mode: 0o755, uid: Number(owner) });
});

test.run();
