import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { IdentityState } from '../../../src/identity/state.ts';
import { parseModuleId } from '../../../src/ids.ts';

const test = suite('state of the Identity service');
const module = {
  moduleId: parseModuleId('$edgeAgent'),
  managedBy: 'iotedge',
  generationId: '638',
  deviceId: 'device',
  hubHostname: 'hub.example',
  phase: 'complete',
} as const;

test('reads the modules of a version without a version number, and of none that is newer', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'iotedge-identity-state-'));
  try {
    await mkdir(join(dir, 'modules'), { mode: 0o700 });
    const path = join(dir, 'modules', '=edgeAgent.json');
    for (const version of [undefined, 1]) {
      await writeFile(path, JSON.stringify({ version, ...module, more: true }));
      const { modules } = await IdentityState.open(dir);
      assert.equal([modules.ids(), modules.values()], [[module.moduleId], [module]]);
    }
    await writeFile(path, JSON.stringify({ version: 1, ...module, moduleId: 'other' }));
    const other = (await IdentityState.open(dir)).modules;
    assert.match(other.reason(module.moduleId) ?? '', 'it is about another module');
    await writeFile(path, JSON.stringify({ version: 2, ...module }));
    const { modules } = await IdentityState.open(dir);
    assert.equal([modules.ids(), modules.values()], [[module.moduleId], []]);
    assert.match(modules.reason(module.moduleId) ?? '', 'written by a newer version');
  } finally {
    await rm(dir, { recursive: true });
  }
});

test('keeps when the certificate of the device is due, so that a start does not renew it', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'iotedge-identity-state-'));
  const device = {
    hubHostname: 'hub.example',
    deviceId: 'device',
    source: 'dps',
    answerTo: 'settings',
    registrationId: 'device',
    provisionedAt: '2026-01-01T00:00:00.000Z',
  };
  try {
    const state = await IdentityState.open(dir);
    for (const one of [device, { ...device, renewAt: '2026-10-01T00:00:00.000Z' }]) {
      await state.saveDevice(one);
      assert.equal(await (await IdentityState.open(dir)).device(), one);
    }
    await state.saveDevice({ ...device, renewAt: 'soon' });
    const failure = await state.device().catch((error: unknown) => error);
    assert.match(String(failure), 'its renewAt is not a time');
  } finally {
    await rm(dir, { recursive: true });
  }
});

test.run();
