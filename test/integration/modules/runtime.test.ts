/** Modules with all four services, a cloud double and a real engine. */
import { createHmac, X509Certificate } from 'node:crypto';
import { chmod, chown, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Variant } from '../../../src/dbus/wire/variant.ts';
import { digestLabel } from '../../../src/modules/docker/labels.ts';
import { parseCertificatesPem } from '../../../src/x509/certificate.ts';
import { until, untilFound } from '../../support/deadline.ts';
import { importNode, workloadClient } from '../../support/engine/images.ts';
import { ModulesRig, type RawCall } from '../../support/engine/modules-rig.ts';
import { silentRegistry } from '../../support/engine/silent-registry.ts';
import { deviceName } from '../../support/rig/rig-config.ts';
import type { CommandResult } from '../../support/system/namespace.ts';
import { SmallDisk } from '../../support/system/small-disk.ts';

const test = suite<{ device: ModulesRig }>('module runtime');
const { image } = ModulesRig;
const absent = { image: '127.0.0.1:9/absent:1' };
const otherNames = [`${deviceName}.local`, 'edgehub', '*.example', '10.0.0.1'];
const EndpointsConfig = { 'azure-iot-edge': { Aliases: ['edgeHub', '*.example', '10.0.0.1'] } };
const settings = {
  agent: {
    config: {
      image: 'localhost/workload-client:1',
      createOptions: { NetworkingConfig: { EndpointsConfig } },
    },
    env: { OTHER_NAMES: otherNames.join(' ') },
  },
};

function sleeping(seconds = 1000) {
  return { image, createOptions: { Cmd: ['sleep', String(seconds)], StopSignal: 'SIGKILL' } };
}

function creation(config: object, name = 'sensor', options = {}): RawCall {
  const body = [name, 'docker', JSON.stringify(config), { PIN: '1234' }, options];
  return { signature: 'sssa{ss}a{sv}', body };
}

/** Creates the module from another process, which does not block this one. */
function createBeside(device: ModulesRig, config: object): Promise<CommandResult> {
  const args = ['sssa{ss}a{sv}', 'sensor', 'docker', JSON.stringify(config), '0', '0'];
  return device.call('CreateModule', args, 'operator');
}

function named(name: string): RawCall {
  return { signature: 'sa{sv}', body: [name, {}] };
}

const byName = named('sensor');

function inState(device: ModulesRig, ...path: readonly string[]): string {
  return join(device.rig.stateDirectory('modules'), ...path);
}

/** Asserts that only files of the agent remain once the module is deleted. */
async function assertGone(device: ModulesRig): Promise<void> {
  await device.untilModule('sensor', ({ error }) => String(error).includes('no object'));
  assert.equal(await readdir(inState(device, 'mnt')), ['edgeAgent']);
  const records = await readdir(inState(device, 'modules'));
  assert.not(records.includes('sensor.json'), String(records));
}

/** The output of the client in the agent's container. */
async function report(device: ModulesRig): Promise<Readonly<Record<string, unknown>>> {
  return untilFound(60_000, 'the report of the client', async () => {
    const [log] = await device.invoke('GetLogs', named('edgeAgent'));
    const text = Buffer.from(log as Uint8Array).toString(); // `ay` by its signature
    if (!text.includes('\n')) return undefined;
    return JSON.parse(text) as Record<string, unknown>; // of the client
  });
}

test.before(async (context) => {
  const device = await ModulesRig.start(settings);
  context.device = device;
  await importNode(device.machine, { tag: settings.agent.config.image, main: workloadClient });
});

test.after(async ({ device }) => {
  await device[Symbol.asyncDispose]();
});

test.before.each(async ({ device }) => {
  await device.agentRuns();
});

test.after.each(async ({ device }) => {
  if ((await device.errorOf('DeleteModule', byName)) === 'no failure') await assertGone(device);
});

test('serves the agent a signature, the trust bundle and a server certificate', async ({
  device,
}) => {
  const found = await report(device);
  const registered = device.cloud.registry.modules.get(deviceName)?.get('$edgeAgent');
  const key = Buffer.from(registered?.keys?.primaryKey ?? '', 'base64');
  const data = 'hub%2Fdevices%2Fdevice\n1700000000';
  assert.is(found['digest'], createHmac('sha256', key).update(data).digest('base64'));
  assert.is(found['bundle'], await device.rig.authority.certificate());
  assert.is(found['serverStatus'], 201);
  assert.is(found['otherStatus'], 403);
  assert.is(found['keyMatches'], true);
  assert.is(found['opened'], true);
  // issued by the workload CA, or by the device CA before that is enrolled
  const chain = parseCertificatesPem(Buffer.from(String(found['chain'])), 'the chain');
  const certificates = chain.map(({ der }) => new X509Certificate(der));
  const deviceCa = await readFile(join(device.rig.directory, 'secrets/device-ca.cer'));
  const end = certificates.findIndex(({ raw }) => raw.equals(new X509Certificate(deviceCa).raw));
  assert.ok(end > 0, 'the device CA is not in the chain');
  for (const [index, issuer] of certificates.slice(1, end + 1).entries())
    assert.ok(certificates[index]?.verify(issuer.publicKey), `not signed by ${issuer.subject}`);
  assert.is(certificates[0]?.subject, 'CN=edgeAgent');
  assert.equal(found['env'], {
    EdgeDeviceHostName: `${deviceName}.local`,
    IOTEDGE_APIVERSION: '2022-08-03',
    IOTEDGE_AUTHSCHEME: 'sasToken',
    IOTEDGE_DEVICEID: deviceName,
    IOTEDGE_IOTHUBHOSTNAME: device.cloud.host,
    IOTEDGE_MANAGEMENTURI: 'unix:///var/lib/iotedge/mgmt.sock',
    IOTEDGE_MODULEGENERATIONID: registered?.generationId,
    IOTEDGE_MODULEID: '$edgeAgent',
    IOTEDGE_WORKLOADLISTEN_MNTURI: `unix://${inState(device, 'mnt')}`,
    IOTEDGE_WORKLOADURI: 'unix:///var/lib/iotedge/workload.sock',
    Mode: 'iotedged',
    NetworkId: 'azure-iot-edge',
  });
});

test('refuses a server certificate in the name of another, also when an alias claims it', async ({
  device,
}) => {
  const { refusals } = await report(device);
  assert.equal(
    refusals,
    otherNames.map(() => 403),
  );
});

test('publishes a digest of the configuration that only its own key produces', async ({
  device,
}) => {
  await device.invoke('CreateModule', creation(sleeping()));
  const { ConfigDigest: shown } = await device.untilState('sensor', 'created');
  const format = `{{index .Config.Labels "${digestLabel}"}}`;
  const digest = await device.machine.docker('inspect', '--format', format, 'sensor');
  const file = inState(device, 'digest.key');
  assert.is((await stat(file)).mode & 0o777, 0o600);
  const key = await readFile(file);
  assert.is(shown, createHmac('sha256', key).update(digest).digest('hex'));
  await writeFile(file, 'short');
  await device.restart(settings);
  const { ConfigDigest } = await device.untilState('sensor', 'created');
  assert.is(ConfigDigest, '');
  assert.match(String((await device.manager())['LastError']), /digest\.key is damaged/);
  assert.is(await readFile(file, 'utf8'), 'short');
  await writeFile(file, key);
  await device.restart(settings);
});

test('restarts a module, and leaves nothing of it when it is deleted', async ({ device }) => {
  await device.invoke('CreateModule', creation(sleeping()));
  assert.is(await device.errorOf('CreateModule', creation(sleeping())), 'AlreadyExists');
  await device.invoke('Start', byName);
  const first = await device.untilState('sensor', 'running');
  await device.succeed('Restart', ['sa{sv}', 'sensor', '1', 'timeout_s', 'u', '0']);
  const again = await device.untilState('sensor', 'running');
  assert.ok(Number(again['StartedAt']) > Number(first['StartedAt']));
  assert.ok((await readdir(inState(device, 'mnt'))).includes('sensor'));
  await device.invoke('DeleteModule', byName);
  await assertGone(device);
  assert.equal(await device.containers(), ['edgeAgent running']);
});

test('creates one module of two concurrent creations', async ({ device }) => {
  const twice = (...seconds: readonly number[]) =>
    device.errorsOf(
      'CreateModule',
      seconds.map((one) => creation(sleeping(one))),
    );
  for (let left = 3; left > 0; left--) {
    assert.equal(await twice(1000, 1000), ['no failure', 'no failure']);
    assert.ok((await readdir(inState(device, 'modules'))).includes('sensor.json'));
    assert.equal(await readdir(inState(device, 'mnt/sensor')), ['workload.sock']);
    await device.invoke('DeleteModule', byName);
    assert.equal(await readdir(inState(device, 'mnt')), ['edgeAgent']);
  }
  assert.equal(await twice(1000, 1001), ['no failure', 'Unavailable']);
  assert.is(await device.errorOf('CreateModule', creation(sleeping(1001))), 'AlreadyExists');
});

test('restores modules, with their configuration, when the service restarts', async ({
  device,
}) => {
  const config = { ...sleeping(), auth: { username: 'user', password: 'hunter2' } };
  await device.invoke('CreateModule', creation(config));
  await device.invoke('Start', byName);
  await device.restart(settings);
  await device.untilState('sensor', 'running');
  const [shown] = await device.invoke('GetConfig', byName);
  assert.equal(JSON.parse(String(shown)), { ...config, auth: { username: 'user' } });
  const file = inState(device, 'modules/sensor.json');
  assert.is((await stat(file)).mode & 0o777, 0o600);
  assert.match(await readFile(file, 'utf8'), /hunter2/);
});

/** Damages of the record of a module, and the reported errors. */
const damages: readonly (readonly [string, (file: string) => Promise<void>, RegExp])[] = [
  ['is damaged', (file) => writeFile(file, '{'), /sensor\.json is damaged/],
  [
    'was written by a newer version',
    (file) => writeFile(file, '{"version":2,"name":"sensor"}'),
    /sensor\.json was written by a newer version/,
  ],
  [
    'was restored as root',
    async (file) => {
      await chown(file, 0, 0);
      await chmod(file, 0o600);
    },
    /sensor\.json cannot be read: EACCES: it belongs to uid 0 with mode 0600, this service runs as uid [1-9]/,
  ],
];

for (const [what, damage, reported] of damages) {
  test(`leaves a module alone whose record ${what}, and reports it`, async ({ device }) => {
    await device.invoke('CreateModule', creation(sleeping()));
    const file = inState(device, 'modules/sensor.json');
    const { uid } = await stat(file);
    const record = await readFile(file);
    await device.rig.stop('modules');
    await damage(file);
    const left = await readFile(file);
    await mkdir(inState(device, 'mnt/orphan'));
    await device.agentRuns();
    const { Health, LastError } = await device.manager();
    assert.is(Health, 'degraded');
    assert.match(String(LastError), reported);
    assert.is(await device.errorOf('CreateModule', creation(sleeping())), 'Unavailable');
    assert.equal(await readFile(file), left);
    // its container may run and use the directory; one without a record was never used
    assert.equal((await readdir(inState(device, 'mnt'))).toSorted(), ['edgeAgent', 'sensor']);
    assert.equal(await device.containers(), ['edgeAgent running', 'sensor created']);
    await writeFile(file, record);
    await chown(file, uid, uid);
    await device.restart(settings);
    await device.invoke('DeleteModule', byName);
  });
}

test('stops and deletes modules on a full disk, reports it, and needs no restart once there is space', async ({
  device,
}) => {
  const { rig } = device;
  await device.invoke('CreateModule', creation(sleeping()));
  await device.invoke('Start', byName);
  await device.untilState('sensor', 'running');
  await rig.stop('modules');
  const records = inState(device, 'modules');
  const disk = await SmallDisk.mount(rig, records);
  try {
    await device.agentRuns();
    await device.untilState('sensor', 'running');
    await disk.fill();
    await device.invoke('Stop', byName);
    await device.untilState('sensor', 'stopped');
    const { Health, LastError } = await device.manager();
    assert.is(Health, 'degraded');
    assert.match(String(LastError), `${records} is full: ENOSPC`);
    assert.is(await device.errorOf('Start', byName), 'Unavailable');
    await device.invoke('DeleteModule', byName);
    assert.equal(await device.containers(), ['edgeAgent running']);
    // only the services see this mount
    await disk.run('test ! -e "$1/sensor.json"');
    await disk.empty();
    await until(
      20_000,
      'the disk to be well',
      async () => (await device.manager())['Health'] === 'ok',
    );
    await device.invoke('CreateModule', creation(sleeping()));
    await device.invoke('DeleteModule', byName);
  } finally {
    await rig.stop('modules');
    await disk[Symbol.asyncDispose]();
    await rm(join(records, 'sensor.json'));
    await device.agentRuns();
  }
});

test('rolls back a creation that fails', async ({ device }) => {
  assert.is(await device.errorOf('CreateModule', creation(absent)), 'Unavailable');
  await assertGone(device);
  const refused = { image, createOptions: { HostConfig: { Memory: 1 } } };
  assert.is(await device.errorOf('CreateModule', creation(refused)), 'InvalidArgs');
  await assertGone(device);
});

test('rolls back a start that fails', async ({ device }) => {
  await device.invoke('CreateModule', creation({ image, createOptions: { Cmd: ['/absent'] } }));
  assert.is(await device.errorOf('Start', byName), 'InvalidArgs');
  const failed = await device.untilModule(
    'sensor',
    ({ State }) => State !== undefined && State !== 'starting',
  );
  assert.is(failed['State'], 'failed');
  assert.match(String(failed['LastError']), /absent/);
});

test('does not touch a foreign container', async ({ device }) => {
  const id = await device.machine.docker('create', '--name', 'sensor', image);
  assert.is(await device.errorOf('CreateModule', creation(sleeping())), 'AlreadyExists');
  await assertGone(device);
  assert.is(await device.machine.docker('inspect', '--format', '{{.Id}}', 'sensor'), id);
  await device.machine.docker('rm', 'sensor');
});

test('refuses access outside the container, unless the configuration allows it', async ({
  device,
}) => {
  const elevated = { image, createOptions: { HostConfig: { PidMode: 'host' } } };
  assert.is(await device.errorOf('CreateModule', creation(elevated)), 'AccessDenied');
  await assertGone(device);
  await device.restart({ ...settings, allow_elevated: true });
  await device.invoke('CreateModule', creation(elevated));
  await device.invoke('DeleteModule', byName);
  await device.restart(settings);
});

test('does not start a module whose image is being pulled, and rolls back a cancelled creation', async ({
  device,
}) => {
  using _registry = await silentRegistry(device.machine, 5001);
  const making = createBeside(device, { image: '127.0.0.1:5001/slow:1' });
  await device.untilState('sensor', 'pulling');
  assert.is(await device.errorOf('Start', byName), 'Unavailable');
  await device.invoke('Cancel', byName);
  assert.match((await making).stderr, 'cancelled');
  await assertGone(device);
});

test('creates a module without an identity on the next request, once identities are available', async ({
  device,
}) => {
  device.cloud.interfere = ({ path }) =>
    path.includes('late') ? { status: 503, body: {} } : undefined;
  const atOnce = { wait: new Variant('b', false) };
  await device.invoke('CreateModule', creation(sleeping(), 'late', atOnce));
  const { LastError } = await device.untilState('late', 'failed');
  assert.match(String(LastError), 'HTTP 503');
  const other = creation(sleeping(1), 'late', atOnce);
  assert.is(await device.errorOf('CreateModule', other), 'AlreadyExists');
  assert.is(await device.errorOf('CreateModule', creation(sleeping(), 'late')), 'Unavailable');
  assert.is((await device.module('late'))['State'], 'failed');
  device.cloud.interfere = undefined;
  await device.invoke('CreateModule', creation(sleeping(), 'late', atOnce));
  const isDone = ({ State, Operation }: Readonly<Record<string, unknown>>): boolean =>
    State === 'created' && Operation === '';
  assert.not.match(String((await device.untilModule('late', isDone))['LastError']), '503');
  await device.invoke('DeleteModule', named('late'));
});

test.run();
