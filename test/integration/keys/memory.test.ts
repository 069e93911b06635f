import { randomBytes } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus } from '../../../src/dbus/bus.ts';
import { client } from '../../../src/dbus/client/client.ts';
import { keysService } from '../../../src/interfaces/keys.ts';
import { connectAs } from '../../support/clients/connect-as.ts';
import { failureOf } from '../../support/failure.ts';
import { occurrencesIn } from '../../support/keys/process-memory.ts';
import { Rig } from '../../support/rig/rig.ts';
import { rigUsers } from '../../support/rig/rig-users.ts';

const test = suite('memory of the Keys service');

const remote = { busName: keysService.busName, path: keysService.path };
const keysOn = (bus: Bus) => client(bus, remote, keysService.manager);

/** Unrelated calls, as a service usually receives them. */
async function otherCalls(bus: Bus): Promise<void> {
  for (let count = 0; count < 300; count++) await keysOn(bus).GetRandom({ count: 32 });
}

function importOf(material: Buffer, store = 'file') {
  const options = { store };
  return {
    key_id: 'k',
    format: 'raw',
    material,
    algorithm: 'aes-256',
    usages: ['encrypt'],
    options,
  };
}

test('does not contain imported material after its deletion or refusal', async () => {
  await using rig = await Rig.start({ settings: { keys: { idle_exit_s: 0 } } });
  await using root = await rig.connect();
  const uid = rigUsers.alice;
  await using alice = await connectAs(rig.address, { uid, gid: uid });
  const refusals: readonly (readonly [string, (material: Buffer) => Promise<unknown>])[] = [
    ['AccessDenied', (material) => keysOn(alice).ImportKey(importOf(material))],
    ['InvalidArgs', (material) => keysOn(root).ImportKey({ ...importOf(material), key_id: '/' })],
    ['InvalidArgs', (material) => keysOn(root).ImportKey({ ...importOf(material), format: 'x' })],
    ['InvalidArgs', (material) => keysOn(root).ImportKey({ ...importOf(material), usages: ['x'] })],
    ['LimitsExceeded', (material) => keysOn(root).ImportKey(importOf(repeated(material, 70_000)))],
    ['LimitsExceeded', (material) => keysOn(root).ImportKey(importOf(repeated(material, 400_000)))],
  ];
  await otherCalls(root);
  const pid = await rig.processOf('keys');
  assert.ok(pid);
  const imported = [randomBytes(32), randomBytes(32)];
  for (const [at, material] of imported.entries()) {
    const store = at === 0 ? 'file' : 'pkcs11';
    await keysOn(root).ImportKey(importOf(Buffer.from(material), store));
    await keysOn(root).DeleteKey({ key_id: 'k' });
  }
  const refused: Buffer[] = [];
  for (const [code, call] of refusals) {
    const material = randomBytes(32);
    refused.push(material);
    assert.is(await failureOf(call(Buffer.from(material))), code);
  }
  await otherCalls(root);
  for (const material of imported) {
    assert.is(await occurrencesIn(pid, material), 0, 'imported and deleted');
  }
  for (const [at, material] of refused.entries()) {
    assert.is(await occurrencesIn(pid, material), 0, `refused with ${refusals[at]?.[0]}, ${at}`);
  }
});

test('is searched for bytes that exist, so that the other test can fail', async () => {
  const bytes = randomBytes(32);
  assert.ok((await occurrencesIn(process.pid, bytes)) > 0);
});

function repeated(material: Buffer, size: number): Buffer {
  return Buffer.alloc(size, material);
}

test.run();
