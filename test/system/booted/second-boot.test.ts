/** A device with a token provisions itself and runs its agent at a boot, and has all of it at one without a network. */
import { type KeyObject, verify } from 'node:crypto';
import * as assert from 'uvu/assert';
import { BootedCloud } from '../../support/boot/booted-cloud.ts';
import { bootedSuite } from '../../support/boot/booted-suite.ts';
import type { BootedSystem } from '../../support/boot/booted-system.ts';
import { bytesOf, prepareDevice, rebootUntilAgentIsWell } from '../../support/boot/device.ts';

const test = bootedSuite('second boot');

async function isSignedBy(system: BootedSystem, id: string, key: KeyObject): Promise<boolean> {
  const data = [1, 2, 3, 4];
  const args = [id, 'ecdsa-sha256', data.length, ...data];
  const [signature] = await system.call('Keys', 'Sign', 'ssaya{sv}', ...args);
  return verify('sha256', Buffer.from(data), key, bytesOf(signature));
}

/** A certificate for an application, which the device's CA issues on the device. */
async function issue(system: BootedSystem): Promise<string> {
  const request = await system.output(
    'openssl req -new -newkey rsa:2048 -nodes -subj /CN=app -keyout /dev/null 2>/dev/null',
  );
  const csr = [...Buffer.from(`${request}\n`)];
  const [chain] = await system.call('Certificates', 'Issue', 'saya{sv}', 'app', csr.length, ...csr);
  return String(chain);
}

test('runs the agent from a cold boot, and finds everything at one without a network', async (system) => {
  let keys: ReadonlyMap<string, KeyObject>;
  let identity: unknown;
  {
    await using cloud = await BootedCloud.start(system);
    keys = await prepareDevice(system, cloud);
    await rebootUntilAgentIsWell(system);
    [identity] = await system.call('Identity', 'GetDeviceIdentity');
  }
  await rebootUntilAgentIsWell(system);
  assert.equal((await system.call('Identity', 'GetDeviceIdentity'))[0], identity);
  for (const [id, key] of keys) assert.ok(await isSignedBy(system, id, key), id);
  assert.match(await issue(system), /^-----BEGIN CERTIFICATE-----/);
});

test.run();
