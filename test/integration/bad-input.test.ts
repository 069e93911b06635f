/** What an administrator sees of a machine that is not as it must be: a line in the journal, and `iotedgectl status`. */
import { chmod, chown, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../support/deadline.ts';
import { Rig } from '../support/rig/rig.ts';
import { SmallDisk } from '../support/system/small-disk.ts';

const test = suite('an administrator');

const keyFile = async (rig: Rig): Promise<string> => {
  const directory = join(rig.stateDirectory('keys'), 'keys');
  const [name = ''] = (await readdir(directory)).filter((one) => one.endsWith('.key'));
  return join(directory, name);
};

/** A device whose keys are in files, and one of them. */
async function deviceWithKey(): Promise<Rig> {
  const rig = await Rig.start({ token: false });
  await writeFile(join(rig.directory, 'config/keys.yaml'), '# no token\n');
  await createKey(rig);
  await rig.stop('keys');
  return rig;
}

async function createKey(rig: Rig): Promise<void> {
  const arguments_ = ['sasasa{sv}', 'in-file', '1', 'ec-p256', '0', '1', 'store', 's', 'file'];
  const target = ['org.iotedge.Keys1', '/org/iotedge/Keys1', 'org.iotedge.Keys1'];
  const { code, stderr } = await rig.busctl(['call', ...target, 'CreateKeyPair', ...arguments_]);
  assert.is(code, 0, stderr);
}

/** Waits until the problem is shown, in the journal by one record. */
async function isTold(rig: Rig, problem: RegExp): Promise<void> {
  const shown = async (): Promise<string> => (await rig.iotedgectl(['status', '--start'])).stdout;
  await until(20_000, `the status to show ${problem}`, async () => problem.test(await shown()));
  const lines = async (): Promise<readonly string[]> =>
    (await rig.log('keys')).split('\n').filter((line) => problem.test(line));
  const degraded = async (): Promise<number> =>
    (await lines()).filter((line) => line.startsWith('<4>health degraded')).length;
  await until(10_000, 'the journal', async () => (await degraded()) > 0);
  assert.is(await degraded(), 1, (await lines()).join('\n'));
}

test('is told of a full disk, and to free some space', async () => {
  await using rig = await deviceWithKey();
  await using disk = await SmallDisk.mount(rig, rig.stateDirectory('keys'));
  await disk.fill();
  await isTold(rig, /is full: ENOSPC, free some space/);
  await disk.empty();
  await until(20_000, 'the end of it', async () =>
    (await rig.log('keys')).includes('<6>health restored'),
  );
  await rig.stop('keys');
});

test('is told of state that a newer version wrote, and to install that', async () => {
  await using rig = await deviceWithKey();
  const file = await keyFile(rig);
  const text = await readFile(file, 'latin1');
  await writeFile(file, text.replace('"version":1', '"version":7'), 'latin1');
  await isTold(rig, /newer version: its form is 7, and 1 is known here: install that version/);
});

test('is told of a wrong owner, and what mends it', async () => {
  await using rig = await deviceWithKey();
  await chown(await keyFile(rig), 0, 0);
  await isTold(rig, /it belongs to uid 0 with mode 0600, .*: iotedgectl config apply mends it/);
});

test('is told of a token that the service may not use', async () => {
  await using rig = await Rig.start();
  const tokens = join(rig.directory, 'token');
  const { mode } = await stat(tokens);
  await chown(tokens, 0, 0);
  await chmod(tokens, 0o700);
  await isTold(
    rig,
    /(no token matches|CKR_[A-Z_]+).* may uid \d+ use (it|its files and devices)\?/,
  );
  await chmod(tokens, mode);
});

test('is told of a configuration that the service may not read', async () => {
  await using rig = await Rig.start({ token: false });
  const file = join(rig.directory, 'config/keys.yaml');
  await chown(file, 0, 0);
  await chmod(file, 0o600);
  const { stdout } = await rig.iotedgectl(['status', '--start']);
  assert.match(stdout, /keys +failing/);
  const line = /keys\.yaml:1:1: cannot be read: EACCES.*iotedgectl config apply mends/;
  assert.match(await rig.log('keys'), line);
});

test.run();
