/** The saved state of a module's registration before each request, and after failed requests. */
import { existsSync, readFileSync } from 'node:fs';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { HttpsRequest } from '../../../../src/https/https-request.ts';
import type { RegisteredModule } from '../../../support/cloud/records.ts';
import { until } from '../../../support/deadline.ts';
import { failureOf } from '../../../support/failure.ts';
import {
  IdentityInProcess,
  registrationId,
} from '../../../support/identity/identity-in-process.ts';
import { suite } from '../../../support/timed-suite.ts';

const test = suite('registration of modules');
const mine = { module_id: 'mine' };
const adopt = { ...mine, options: { adopt: true } };
const later = { ...mine, options: { wait: false } };

async function provisioned(): Promise<IdentityInProcess> {
  const device = await IdentityInProcess.create();
  await device.start();
  await until(10_000, 'an identity', () => device.shown.properties['State'] === 'provisioned');
  await until(10_000, 'the end', () => device.running.isBusy?.() === false);
  device.cloud.requests.length = 0;
  return device;
}

function put({ cloud }: IdentityInProcess, module: Partial<RegisteredModule> = {}): void {
  cloud.registry.put(registrationId, { moduleId: 'mine', ...module });
}

function onHub({ cloud }: IdentityInProcess): RegisteredModule | undefined {
  return cloud.registry.modules.get(registrationId)?.get('mine');
}

function fileOf({ stateDir }: IdentityInProcess): string {
  return join(stateDir, 'modules', 'mine.json');
}

/** The phase and generation that are saved now. */
function saved(device: IdentityInProcess): string {
  const file = fileOf(device);
  if (!existsSync(file)) return 'none';
  const { phase, generationId } = JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>;
  return `${phase} ${generationId === '' ? '-' : generationId}`;
}

const isCreation = ({ method, headers }: HttpsRequest): boolean =>
  method === 'PUT' && headers?.['if-match'] === undefined;

test('is saved before each dependent request', async () => {
  await using device = await provisioned();
  const seen: string[] = [];
  device.cloud.interfere = () => void seen.push(saved(device));
  await device.call('CreateModuleIdentity', mine);
  const { generationId } = onHub(device) ?? {};
  assert.equal(seen.splice(0), ['asking -', 'creating -', `creating ${generationId}`]);
  assert.is(saved(device), `complete ${generationId}`);
  await device.call('UpdateModuleIdentity', mine);
  assert.equal(seen.splice(0), [`updating ${generationId}`, `updating ${generationId}`]);
  assert.is(saved(device), `complete ${generationId}`);
  await device.call('DeleteModuleIdentity', mine);
  assert.is(seen.length, 2);
  assert.is(saved(device), 'none');
  const lines = device.log.filter(({ message }) => message.startsWith('module identity'));
  assert.equal(
    lines.map(({ level, message, fields }) => [
      level,
      message,
      fields['moduleId'],
      fields['requestId'],
    ]),
    [
      ['info', 'module identity registered', 'mine', 'asked'],
      ['info', 'module identity registered', 'mine', 'asked'],
      ['info', 'module identity deleted', 'mine', 'asked'],
    ],
  );
});

for (const [status, isAsked] of [
  [400, false],
  [401, false],
  [403, false],
  [499, false],
  [500, true],
  [503, true],
] as const) {
  test(`queries the result of a request that failed with ${status}${isAsked ? '' : ' only when it may have succeeded'}`, async () => {
    await using device = await provisioned();
    device.cloud.interfere = (request) => {
      if (!isCreation(request)) return undefined;
      put(device, { managedBy: 'iotEdge' });
      return { status };
    };
    assert.is(await failureOf(device.call('CreateModuleIdentity', mine)), 'Unavailable');
    const made = `creating ${onHub(device)?.generationId}`;
    assert.is(saved(device), isAsked ? made : 'none');
    assert.equal(
      device.cloud.requests.map(({ method }) => method),
      isAsked ? ['GET', 'PUT', 'GET'] : ['GET', 'PUT'],
    );
    device.cloud.interfere = undefined;
    const again = await failureOf(device.call('CreateModuleIdentity', mine));
    assert.is(again, isAsked ? 'no failure' : 'AlreadyExists');
  });
}

test('leaves nothing behind when the hub created nothing, or has the module of another manager', async () => {
  await using device = await provisioned();
  for (const managedBy of [undefined, 'puppet']) {
    device.cloud.interfere = (request) => {
      if (!isCreation(request)) return undefined;
      if (managedBy !== undefined) put(device, { managedBy });
      return { status: 500 };
    };
    assert.is(await failureOf(device.call('CreateModuleIdentity', mine)), 'Unavailable');
    assert.is(saved(device), 'none', managedBy);
  }
});

test('with an unknown outcome is completed when the hub is reachable again', async () => {
  await using device = await provisioned();
  let isDown = false;
  device.cloud.interfere = (request) => {
    if (isCreation(request)) {
      put(device, { managedBy: 'iotedge' });
      isDown = true;
    }
    return isDown ? { status: 500 } : undefined;
  };
  assert.is(await failureOf(device.call('CreateModuleIdentity', mine)), 'Unavailable');
  assert.is(saved(device), 'creating -');
  assert.is(await failureOf(device.call('GetModuleIdentity', mine)), 'NotFound');
  device.cloud.interfere = undefined;
  await device.call('CreateModuleIdentity', mine);
  assert.is(saved(device), `complete ${onHub(device)?.generationId}`);
});

test('adopts the module of other software only on request, and never what that manages', async () => {
  await using device = await provisioned();
  for (const managedBy of ['', 'iotedge', 'IotEdge', 'IOTEDGE']) {
    put(device, { managedBy });
    const before = onHub(device);
    assert.is(await failureOf(device.call('CreateModuleIdentity', mine)), 'AlreadyExists');
    assert.equal([onHub(device), saved(device)], [before, 'none']);
    const { identity } = await device.call('CreateModuleIdentity', adopt);
    assert.is(identity.generation_id, before?.generationId);
    assert.is(onHub(device)?.managedBy, managedBy || 'iotedge');
    await device.call('DeleteModuleIdentity', mine);
  }
  put(device, { managedBy: 'puppet' });
  const theirs = onHub(device);
  for (const call of [
    'CreateModuleIdentity',
    'UpdateModuleIdentity',
    'DeleteModuleIdentity',
  ] as const) {
    assert.is(await failureOf(device.call(call, adopt)), 'AlreadyExists', call);
    assert.equal([onHub(device), saved(device)], [theirs, 'none'], call);
  }
  const named = { ...mine, options: { adopt: true, managed_by: 'Puppet' } };
  await device.call('CreateModuleIdentity', named);
  assert.is(onHub(device)?.managedBy, 'Puppet');
});

test('lists only modules with the saved generation as own', async () => {
  await using device = await provisioned();
  await device.call('CreateModuleIdentity', mine);
  const list = async () => {
    const options = { refresh: true };
    const { identities } = await device.call('ListModuleIdentities', { options });
    return identities.find(({ module_id }) => module_id === 'mine');
  };
  assert.is((await list())?.key_id, 'iotedge/module-identities');
  await device.call('UpdateModuleIdentity', mine);
  put(device, { managedBy: 'iotedge' });
  const theirs = await list();
  assert.equal([theirs?.key_id, theirs?.generation_id], ['', onHub(device)?.generationId]);
});

test('removes a module of other software from the saved state only', async () => {
  await using device = await provisioned();
  await device.call('CreateModuleIdentity', mine);
  put(device, { managedBy: 'iotedge' });
  const theirs = onHub(device);
  await device.call('DeleteModuleIdentity', mine);
  assert.equal([onHub(device), saved(device)], [theirs, 'none']);
  assert.is(await failureOf(device.call('DeleteModuleIdentity', mine)), 'NotFound');
  // it may be adopted, and so deleted
  await device.call('DeleteModuleIdentity', adopt);
  assert.is(onHub(device), undefined);
  assert.is(await failureOf(device.call('DeleteModuleIdentity', adopt)), 'NotFound');
});

test('is refused at once where it cannot begin, also for a call that does not wait', async () => {
  await using device = await provisioned();
  assert.is(await failureOf(device.call('DeleteModuleIdentity', later)), 'NotFound');
  assert.is(device.running.isBusy?.(), false);
  await device.stop();
  await using fresh = await IdentityInProcess.create();
  await fresh.start({ live: false });
  for (const call of ['CreateModuleIdentity', 'DeleteModuleIdentity'] as const) {
    assert.is(await failureOf(fresh.call(call, later)), 'NotProvisioned', call);
  }
});

for (const [what, damage] of [
  ['is empty', () => ''],
  ['is truncated', (text: string) => text.slice(0, 40)],
  ['has an unknown phase', (text: string) => text.replace('complete', 'finished')],
  ['is about another module', (text: string) => text.replace('"mine"', '"other"')],
  ['has no device', (text: string) => text.replace('"deviceId":"pump-1"', '"deviceId":""')],
  ['has an invalid hub name', (text: string) => text.replace('hub.example', 'hub example')],
  ['has no generation', (text: string) => text.replace('"generationId"', '"generation"')],
] as const) {
  test(`is reported, preserved and replaced only by its deletion when its file ${what}`, async () => {
    await using device = await provisioned();
    await device.call('CreateModuleIdentity', mine);
    await device.stop();
    const damaged = damage(await readFile(fileOf(device), 'utf8'));
    await writeFile(fileOf(device), damaged);
    await device.start();
    assert.match(String(device.shown.properties['LastError']), `module "mine": ${fileOf(device)}`);
    assert.is(device.shown.properties['Health'], 'degraded');
    assert.equal(Object.keys(device.running.describeMore?.()['damaged'] ?? {}), ['mine']);
    for (const call of [
      'GetModuleIdentity',
      'CreateModuleIdentity',
      'UpdateModuleIdentity',
    ] as const) {
      assert.is(await failureOf(device.call(call, adopt)), 'Unavailable', call);
    }
    assert.is(String(device.shown.properties['LastError']).split('module "mine": ').length, 2);
    assert.is(await readFile(fileOf(device), 'utf8'), damaged);
    await device.call('DeleteModuleIdentity', mine);
    assert.equal([saved(device), onHub(device)], ['none', undefined]);
    assert.is(device.shown.properties['LastError'], '');
  });
}

test('belongs to the hub on which the device was, and to no other', async () => {
  await using device = await provisioned();
  await device.call('CreateModuleIdentity', mine);
  device.cloud.hub = 'other.example';
  await device.call('Reprovision');
  assert.is(await failureOf(device.call('GetModuleIdentity', mine)), 'NotFound');
  assert.not(device.shown.objects.has('mine'));
  // under its id the other hub has a module of other software
  const theirs = onHub(device);
  assert.is(await failureOf(device.call('CreateModuleIdentity', mine)), 'AlreadyExists');
  await device.stop();
  await device.start();
  assert.equal(await device.call('ListModuleIdentities'), { identities: [] });
  assert.equal(onHub(device), theirs);
});

test('is removed from the saved state only when it belongs to the previous hub', async () => {
  await using device = await provisioned();
  await device.call('CreateModuleIdentity', mine);
  const theirs = onHub(device);
  device.cloud.hub = 'other.example';
  await device.call('Reprovision');
  device.cloud.requests.length = 0;
  await device.call('DeleteModuleIdentity', mine);
  assert.equal([onHub(device), saved(device), device.cloud.requests.length], [theirs, 'none', 0]);
});

test('is preserved when a newer version wrote it, whatever the request', async () => {
  await using device = await provisioned();
  await device.call('CreateModuleIdentity', mine);
  await device.stop();
  const newer = (await readFile(fileOf(device), 'utf8')).replace('"version":1', '"version":2');
  await writeFile(fileOf(device), newer);
  await chmod(fileOf(device), 0o600);
  await device.start();
  const theirs = onHub(device);
  for (const call of [
    'CreateModuleIdentity',
    'UpdateModuleIdentity',
    'DeleteModuleIdentity',
  ] as const) {
    assert.is(await failureOf(device.call(call, adopt)), 'Unavailable', call);
  }
  assert.equal([await readFile(fileOf(device), 'utf8'), onHub(device)], [newer, theirs]);
});

test.run();
