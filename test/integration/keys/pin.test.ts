/** The places of a PIN: the configuration, and nothing that the service or the processes of its libraries leave. */
import { randomBytes } from 'node:crypto';
import { chown, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { keysService } from '../../../src/interfaces/keys.ts';
import { until } from '../../support/deadline.ts';
import { keysBelow, keysOfProcess, type Secret } from '../../support/keys/key-search.ts';
import { TwoLibraries } from '../../support/pkcs11/two-libraries.ts';
import { rigUsers } from '../../support/rig/rig-users.ts';

const test = suite('PIN of a token');
/** Of letters and digits, so that a URI has it as it is. */
const pin = `pin${randomBytes(12).toString('hex')}`;
const secrets: readonly Secret[] = [{ name: 'the PIN', bytes: Buffer.from(pin) }];

/** Has the service and its processes write cores of any size into a directory. */
async function writeCores(device: TwoLibraries, directory: string): Promise<void> {
  const launcher = device.rig.launcher('keys');
  const text = await readFile(launcher, 'utf8');
  assert.match(text, '\ncd /\n');
  await writeFile(launcher, text.replace('\ncd /\n', `\nulimit -c unlimited\ncd '${directory}'\n`));
}

async function coreDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'iotedge-cores-'));
  await chown(directory, rigUsers['iotedge-keys'], rigUsers['iotedge-keys']);
  return directory;
}

/** Whether a process that crashes leaves a file: elsewhere cores are piped, or have a directory of their own. */
async function areCoresHere(): Promise<boolean> {
  return !/^[|/]/.test(await readFile('/proc/sys/kernel/core_pattern', 'utf8'));
}

test('is in no argument, environment, log or file of the service and of the processes of its libraries', async () => {
  await using device = await TwoLibraries.start({ pin });
  const { rig } = device;
  await device.signs('first');
  const control = ['/org/freedesktop/LogControl1', 'org.freedesktop.LogControl1', 'LogLevel'];
  const level = ['set-property', keysService.busName, ...control, 's', 'debug'];
  assert.is((await rig.busctl(level)).code, 0);
  for (const what of ['abort', 'write 3']) {
    await device.first.library.misbehave('C_Sign', what);
    assert.match(await device.sign('first'), /^Unavailable: /);
  }
  await device.first.library.behave();
  await device.signs('first');
  const processes = [device.pid(), device.processOf('first'), device.processOf('second')];
  for (const pid of await Promise.all(processes)) {
    assert.ok(pid);
    assert.equal(await keysOfProcess(pid, secrets), []);
  }
  await rig.stop('keys');
  assert.match(await rig.log('keys'), 'SIGABRT');
  const found = await keysBelow(rig.directory, { secrets, except: ['authority'] });
  const holders = found
    .filter((one) => one.includes('the PIN'))
    .map((one) => one.replace(/: .*/, ''));
  assert.equal(holders, [join(rig.directory, 'config/keys.d/50-rig.yaml')]);
});

test('is in no core, whichever process crashes', async () => {
  const directory = await coreDirectory();
  try {
    await using device = await TwoLibraries.start({ pin });
    await writeCores(device, directory);
    await device.signs('first');
    await device.first.library.misbehave('C_Sign', 'abort');
    assert.match(await device.sign('first'), /^Unavailable: .*SIGABRT/);
    assert.equal(await readdir(directory), [], 'a core of the process of a library');
    await device.signs('second');
    process.kill(await device.pid(), 'SIGABRT');
    await until(
      10_000,
      'the service to end',
      async () => (await device.rig.processOf('keys')) === undefined,
    );
    assert.equal(await keysBelow(directory, { secrets }), []);
    if (!(await areCoresHere())) return;
    const crash = `ulimit -c unlimited; cd '${directory}'; kill -ABRT $$`;
    await device.rig.run('sh', ['-c', crash], { user: keysService.user });
    assert.is((await readdir(directory)).length, 1, 'no process leaves a core');
  } finally {
    await rm(directory, { recursive: true });
  }
});

test.run();
