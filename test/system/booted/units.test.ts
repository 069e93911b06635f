import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { bootedSuite } from '../../support/boot/booted-suite.ts';
import type { BootedSystem } from '../../support/boot/booted-system.ts';
import { until } from '../../support/deadline.ts';

const test = bootedSuite('units of an installed system');
const dropIns = '/usr/share/doc/iotedge-dbus/drop-ins';
const keys = '/org/iotedge/Keys1 org.iotedge.Keys1';

/** Does with drop-ins what they say. */
async function useDropIn(system: BootedSystem, unit: string, name: string): Promise<void> {
  const target = `/etc/systemd/system/${unit}.d`;
  await system.output(`mkdir -p ${target} && cp ${dropIns}/${name} ${target}/`);
  await system.output('systemctl daemon-reload');
}

/** The credentials of a Keys service that starts now, as `name: content`. */
async function credentials(system: BootedSystem): Promise<readonly string[]> {
  await system.output('systemctl restart iotedge-keys.service');
  const { MainPID } = await system.unit('iotedge-keys.service');
  const folder = `/proc/${MainPID}/root/run/credentials/iotedge-keys.service`;
  const script = `cd ${folder} && for name in *; do [ ! -e "$name" ] || echo "$name: $(cat "$name")"; done`;
  const output = await system.output(script);
  return output.split('\n').filter((line) => line !== '');
}

test('give Keys a PIN of the credential stores, where there is one', async (system) => {
  assert.equal(await credentials(system), []);
  await system.write('/etc/credstore/iotedge-keys.pin', '1234', '0600');
  assert.equal(await credentials(system), ['iotedge-keys.pin: 1234']);
  await useDropIn(system, 'iotedge-keys.service', 'keys-encrypted-pin.conf');
  const name = 'iotedge-keys.encrypted-pin';
  const encrypt = `systemd-creds encrypt --with-key=host --name=${name} - /etc/credstore.encrypted/${name}`;
  await system.output(`mkdir -p /etc/credstore.encrypted && ${encrypt}`, { input: '5678' });
  assert.equal(await credentials(system), [`${name}: 5678`, 'iotedge-keys.pin: 1234']);
});

test('reach a token of SoftHSM with its drop-in, and not without', async (system) => {
  await system.output('usermod --append --groups softhsm iotedge-keys');
  const init = 'softhsm2-util --init-token --free --label gateway --pin 1234 --so-pin 5678';
  await system.output(init.split(' '), { user: 'iotedge-keys' });
  await system.output('gpasswd --delete iotedge-keys softhsm');
  const config = `pkcs11_lib_path: /usr/lib/softhsm/libsofthsm2.so
pkcs11_base_slot: 'pkcs11:token=gateway?pin-value=1234'
`;
  await system.write('/etc/iotedge/keys.yaml', config, '0640');
  await system.output('chgrp iotedge-keys /etc/iotedge/keys.yaml');
  const create = `busctl call org.iotedge.Keys1 ${keys} CreateKeyPair 'sasasa{sv}' one 1 ec-p256 1 sign 0`;
  await system.output('systemctl restart iotedge-keys.service');
  assert.is((await system.run(create)).code, 1);
  await useDropIn(system, 'iotedge-keys.service', 'keys-softhsm.conf');
  await system.output('systemctl restart iotedge-keys.service');
  assert.match(await system.output(create), '/org/iotedge/Keys1/key/one');
});

test('give the runtime a directory for the sockets of logs, which others may only pass', async (system) => {
  await system.output('systemctl start iotedge-modules.service');
  const directory = '/run/iotedge-modules';
  const { MainPID } = await system.unit('iotedge-modules.service');
  const shown = await system.output(`stat -c '%U %a' ${directory}`);
  assert.is(shown, 'iotedge-modules 711');
  // in the sandbox, where the rest of /run is read-only
  const enter = `nsenter --mount --target ${MainPID} setpriv --reuid iotedge-modules --clear-groups`;
  await system.output(`${enter} touch ${directory}/probe`);
  await system.output(`rm ${directory}/probe`);
});

/** When the runtime was started last. */
function lastStart(system: BootedSystem): Promise<string> {
  const property = 'ExecMainStartTimestampMonotonic';
  return system.output(`systemctl show --value -p ${property} iotedge-modules.service`);
}

test('start no runtime in a loop that cannot start while a client waits', async (system) => {
  await system.write('/etc/iotedge/modules.yaml', 'no_such_setting: 1\n');
  await system.output('systemctl stop iotedge-modules.service');
  const units = 'iotedge-modules-workload.socket iotedge-modules-management.socket';
  await system.output(`systemctl restart ${units}`);
  const client =
    "perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0); connect(S, sockaddr_un(shift)); sleep 60'";
  const socket = '/var/lib/iotedge/workload.sock';
  await system.output(`systemd-run --unit=client ${client} ${socket}`);
  await until(20_000, 'the end of the starts', async () => {
    const { ActiveState } = await system.unit('iotedge-modules.service');
    const before = await lastStart(system);
    await sleep(2000);
    return ActiveState === 'failed' && before === (await lastStart(system));
  });
  await system.write('/etc/iotedge/modules.yaml', 'log_level: info\n');
  await system.output('systemctl reset-failed; systemctl restart iotedge-modules.service');
  const { ActiveState } = await system.unit('iotedge-modules-workload.socket');
  assert.is(ActiveState, 'active');
});

test('make the state directories of existing configurations reach the state', async (system) => {
  await system.output('systemctl restart iotedge-certificates.service iotedge-modules.service');
  assert.is(
    await system.output('readlink -f /var/lib/iotedge/cs'),
    '/var/lib/iotedge/certificates',
  );
  assert.is(
    await system.output('readlink -f /var/lib/iotedge/iotedged'),
    '/var/lib/iotedge/modules',
  );
});

test.run();
