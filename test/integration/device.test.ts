/** The main use case: from a key in a token to a running module, on the bundled services. */
import { verify } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus } from '../../src/dbus/bus.ts';
import { client } from '../../src/dbus/client/client.ts';
import { certificatesInterface, certificatesService } from '../../src/interfaces/certificates.ts';
import { identityInterface, identityService } from '../../src/interfaces/identity.ts';
import { keysInterface, keysService } from '../../src/interfaces/keys.ts';
import { agentLog, loadAgent } from '../demo/agent.ts';
import { connectAs } from '../support/clients/connect-as.ts';
import { until } from '../support/deadline.ts';
import { PrivateEngine } from '../support/engine/private-engine.ts';
import { failureOf } from '../support/failure.ts';
import { keysBelow } from '../support/keys/key-search.ts';
import { runnable } from '../support/not-runnable.ts';
import { Rig } from '../support/rig/rig.ts';
import { startRigCloud, useCloud } from '../support/rig/rig-cloud.ts';
import { deviceName } from '../support/rig/rig-config.ts';
import { useEngine } from '../support/rig/rig-engine.ts';
import { type ServiceName, services } from '../support/rig/rig-services.ts';
import { identityOf as userOf } from '../support/rig/rig-users.ts';
import { suspendProcess } from '../support/suspend-process.ts';

const test = suite('device');
const engineTest = runnable('container-engine', test);
const patient = { timeoutMs: 60_000 };

const keysOf = (bus: Bus) => client(bus, keysService, keysInterface);
const certificatesOf = (bus: Bus) => client(bus, certificatesService, certificatesInterface);
const identityOf = (bus: Bus) => client(bus, identityService, identityInterface);

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`gets its identity over ${version} with a key that stays in the token`, async () => {
    await using rig = await Rig.start();
    await using cloud = await startRigCloud(rig, { minVersion: version, maxVersion: version });
    await useCloud(rig, cloud);
    await using bus = await rig.connect();
    const { device } = await identityOf(bus).Provision({}, patient);
    assert.is(device.device_id, deviceName);
    assert.is(device.hub_hostname, cloud.host);
    assert.ok(cloud.requests.length > 0);
    assert.ok(cloud.requests.every(({ protocol }) => protocol === version));
  });
}

test('keeps its identity across a restart without a request to the cloud', async () => {
  await using rig = await Rig.start();
  await using cloud = await startRigCloud(rig);
  await useCloud(rig, cloud);
  await using bus = await rig.connect();
  await identityOf(bus).Provision({}, patient);
  await rig.stop('identity');
  const before = cloud.requests.length;
  const { device } = await identityOf(bus).Provision({}, patient);
  assert.is(device.device_id, deviceName);
  assert.is(cloud.requests.length, before);
});

test('gets its identity with services that were started by hand', async () => {
  await using rig = await Rig.start();
  await using cloud = await startRigCloud(rig);
  await useCloud(rig, cloud);
  const started = [];
  for (const name of ['keys', 'certificates', 'identity'] as const) {
    started.push(rig.spawn('sh', [rig.launcher(name)]).pid);
    await until(
      10_000,
      `${name} on the bus`,
      async () => (await rig.processOf(name)) !== undefined,
    );
  }
  await using bus = await rig.connect();
  const { device } = await identityOf(bus).Provision({}, patient);
  assert.is(device.device_id, deviceName);
  const running = await Promise.all(
    (['keys', 'certificates', 'identity'] as const).map((name) => rig.processOf(name)),
  );
  assert.equal(running, started);
});

engineTest(
  'runs a module that receives a signature, a trust bundle and a certificate',
  async () => {
    await using rig = await Rig.start();
    await using cloud = await startRigCloud(rig);
    await useCloud(rig, cloud);
    await using engine = await PrivateEngine.start();
    await loadAgent(engine);
    await useEngine(rig, engine);
    await using bus = await rig.connect();
    const log = await agentLog(bus, AbortSignal.timeout(120_000));
    assert.is(log.at(-1), 'all is well', `${log.join('\n')}\n${await rig.log('modules')}`);
    // the authority of the rig is not one of the services
    assert.equal(await keysBelow(rig.directory, { except: ['authority'] }), []);
  },
);

for (const service of Object.keys(services) as ServiceName[]) {
  test(`reports an error when ${service} is killed during a call, and recovers`, async () => {
    await using rig = await Rig.start();
    await using bus = await rig.connect();
    const { busName: destination, path, manager } = services[service];
    const describe = {
      destination,
      path,
      interface: manager.name,
      member: 'Describe',
      signature: 'a{sv}',
      body: [{}],
    };
    await bus.call(describe);
    const pid = await rig.processOf(service);
    if (pid === undefined) throw new Error(`${service} does not run`);
    await suspendProcess(pid); // so that the call is certainly pending
    const outcome = bus.call(describe, { timeoutMs: 20_000 }).then(
      () => 'answered',
      (error: unknown) => (error instanceof Error ? 'failed' : error),
    );
    await bus.nameOwner(destination); // processed in order: the call is at the service now
    process.kill(pid, 'SIGKILL');
    assert.is(await outcome, 'failed');
    const [json] = await bus.call(describe);
    assert.type(json, 'string');
  });
}

test('uses its keys through the bus only as far as polkit allows', async () => {
  await using rig = await Rig.start();
  await using bus = await connectAs(rig.address, userOf('alice'));
  const keys = keysOf(bus);
  const sign = (key_id: string) =>
    keys.Sign({ key_id, mechanism: 'ecdsa-sha256', data: Buffer.from('data') });
  const publicKey = await rig.token.publicKey('device id');
  // the existence of a key and its certificate are public
  const { spki } = await keys.GetPublicKey({ key_id: 'device-id' });
  assert.equal(Buffer.from(spki), publicKey.export({ format: 'der', type: 'spki' }));
  const { certificate } = await certificatesOf(bus).GetCertificate({ certificate_id: 'device-id' });
  assert.is(certificate.key_id, 'device-id');
  for (const id of ['device-id', 'device-ca', 'absent']) {
    assert.is(await failureOf(sign(id)), 'AccessDenied', id);
  }
  await rig.setRules(`polkit.addRule(function (action, subject) {
    if (subject.user === 'alice' && action.id === 'org.iotedge.keys1.sign' &&
        action.lookup('key_id') === 'device-id') return polkit.Result.YES;
  });`);
  const { signature } = await sign('device-id');
  assert.ok(verify('sha256', Buffer.from('data'), publicKey, Buffer.from(signature)));
  assert.is(await failureOf(sign('device-ca')), 'AccessDenied');
  assert.is(await failureOf(keys.DeleteKey({ key_id: 'device-id' })), 'AccessDenied');
  await rig.setRules('');
  assert.is(await failureOf(sign('device-id')), 'AccessDenied');
});

test.run();
