import { spawnSync } from 'node:child_process';
import { chmod, chown, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type IncomingMessage } from '../../../src/dbus/wire/inbox.ts';
import { Message, messageType } from '../../../src/dbus/wire/message.ts';
import { variant } from '../../../src/dbus/wire/variant.ts';
import { keysService } from '../../../src/interfaces/keys.ts';
import { runIotedgectl } from '../../support/clients/run-iotedgectl.ts';
import { PrivateBus } from '../../support/rig/private-bus.ts';
import { Rig } from '../../support/rig/rig.ts';

const test = suite('iotedgectl status');

/** Runs a command against a Keys service that replies to every call with an error. */
async function runWithError(errorName: string, ...args: readonly string[]) {
  await using daemon = await PrivateBus.start();
  await using keys = await daemon.connect();
  const receive = ({ header: { serial, sender } }: IncomingMessage): void => {
    const reply = { type: messageType.error, replySerial: serial, destination: sender, errorName };
    keys.send(new Message({ ...reply, signature: 's', body: ['it is \x1b[31mbroken'] }));
  };
  keys.serveCalls({ maxBodyBytes: () => 1024, receive });
  await keys.requestName(keysService.busName);
  return await runOn(daemon.address, ...args);
}

async function runOn(address: string, ...args: readonly string[]) {
  process.env['DBUS_SYSTEM_BUS_ADDRESS'] = address;
  return runIotedgectl(...args);
}

for (const errorName of [
  'org.freedesktop.DBus.Error.AccessDenied',
  'org.iotedge.Error.Failed',
  'org.example.Unheard',
]) {
  test(`shows all services when one replies with ${errorName}`, async () => {
    const { code, out } = await runWithError(errorName, 'status');
    assert.is(code, 4);
    assert.match(out, /keys +failing .*broken/);
    assert.not.match(out, '\x1b');
    for (const other of ['certificates', 'identity', 'modules']) {
      assert.match(out, new RegExp(`^${other} +absent`, 'm'));
    }
  });
}

test('exits with 5 on a timeout, 4 without a service, 3 on a refusal', async () => {
  const codeOf = async (name: string): Promise<number> =>
    (await runWithError(`org.freedesktop.DBus.Error.${name}`, 'keys', 'list')).code;
  assert.is(await codeOf('NoReply'), 5);
  assert.is(await codeOf('ServiceUnknown'), 4);
  assert.is(await codeOf('AccessDenied'), 3);
});

/** A bus on which systemd, the only callee allowed, reports these properties of the units of the services. */
async function statusWithSystemd(unit: Readonly<Record<string, string>>, process: object = {}) {
  await using daemon = await PrivateBus.start();
  await using systemd = await daemon.connect();
  systemd.serveCalls({
    maxBodyBytes: () => 1024,
    receive: (call) => {
      const { serial, sender, member } = call.header;
      const values: object = { ...unit, ...process };
      const body =
        member === 'LoadUnit'
          ? ['/unit']
          : [
              Object.fromEntries(
                Object.entries(values).map(([key, value]) => [
                  key,
                  typeof value === 'number' ? variant('i', value) : variant('s', value),
                ]),
              ),
            ];
      const signature = member === 'LoadUnit' ? 'o' : 'a{sv}';
      const reply = { type: messageType.reply, replySerial: serial, destination: sender };
      systemd.send(new Message({ ...reply, signature, body }));
    },
  });
  await systemd.requestName('org.freedesktop.systemd1');
  return await runOn(daemon.address, 'status');
}

test('shows the state in systemd of services that do not run, and starts none', async () => {
  const loaded = { LoadState: 'loaded', ActiveState: 'inactive', SubState: 'dead' };
  const idle = await statusWithSystemd(loaded);
  assert.is(idle.code, 4);
  for (const service of ['keys', 'certificates', 'identity']) {
    assert.match(idle.out, new RegExp(`^${service} +idle`, 'm'));
  }
  assert.match(idle.out, /^modules +failing .*it does not run: its unit is inactive/m);
  const failed = { ...loaded, ActiveState: 'failed', SubState: 'failed' };
  const wrong = await statusWithSystemd(failed, { Result: 'exit-code', ExecMainStatus: 78 });
  assert.is(wrong.code, 4);
  assert.match(
    wrong.out,
    /^keys +failing .*iotedge-keys\.service has failed \(exit-code, status 78\).*config check/m,
  );
  const again = { ...loaded, ActiveState: 'activating', SubState: 'auto-restart' };
  const killed = await statusWithSystemd(again, { Result: 'signal', ExecMainStatus: 9 });
  assert.match(killed.out, /^identity +failing .*\(signal, status 9\)/m);
  const masked = await statusWithSystemd({ ...loaded, LoadState: 'masked' });
  assert.match(masked.out, /^keys +failing .*is masked/m);
  const unknown = await statusWithSystemd({ ...loaded, LoadState: 'not-found' });
  assert.match(unknown.out, /^keys +absent/m);
});

test('shows why a service cannot start where there is no systemd', async () => {
  // dbus-broker starts services by systemd alone
  await using rig = await Rig.start({ token: false, polkit: false, bus: 'dbus-daemon' });
  const broken = `${rig.directory}/config/keys.yaml`;
  const text = await readFile(broken, 'utf8');
  await writeFile(broken, 'log_levl: info\n');
  const wrong = await rig.iotedgectl(['status']);
  assert.is(wrong.code, 4);
  assert.match(wrong.stdout, /^keys +failing .*78.*config check/m);
  const keys = await rig.iotedgectl(['keys', 'list']);
  assert.is(keys.code, 4);
  assert.match(keys.stderr, /status 78: .*'iotedgectl config check'/);
  await writeFile(broken, text);
  await chmod(broken, 0o600);
  await chown(broken, 0, 0);
  const unreadable = await rig.iotedgectl(['status']);
  assert.is(unreadable.code, 4);
  assert.match(unreadable.stdout, /^keys +failing/m);
  const check = await rig.iotedgectl([
    'config',
    'check',
    '--config-dir',
    `${rig.directory}/config`,
  ]);
  assert.is(check.code, 78);
  assert.match(check.stdout, /keys\.yaml:1:1: the service cannot read it, as user iotedge-keys/);
});

test('exits with a failure, and reports it, when its output cannot be written', async () => {
  await using daemon = await PrivateBus.start();
  const program = join(import.meta.dirname, '../../../src/cli/main.js');
  const env = { ...process.env, DBUS_SYSTEM_BUS_ADDRESS: daemon.address };
  const run = (words: string, to: string) =>
    spawnSync(
      '/bin/bash',
      ['-o', 'pipefail', '-c', `'${process.execPath}' '${program}' ${words} ${to}`],
      { env, encoding: 'utf8' },
    );
  for (const words of [
    '--help',
    '--version',
    'help keys',
    'config check --config-dir /',
    'status --json',
  ]) {
    const { status: code, stderr } = run(words, '>/dev/full');
    assert.not.equal(code, 0, words);
    assert.match(stderr, 'could not be written: ENOSPC');
  }
  const piped = run('--help', '| true');
  assert.is(piped.status, 0);
  assert.is(piped.stderr, '');
});

test.run();
