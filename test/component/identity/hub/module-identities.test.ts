/** Module identities: the requests to the hub and the Keys service, and the saved state. */
import { createHmac } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { HttpsRequest } from '../../../../src/https/https-request.ts';
import { nextEtag, type RegisteredModule } from '../../../support/cloud/records.ts';
import { until } from '../../../support/deadline.ts';
import { failureOf, messageOf } from '../../../support/failure.ts';
import {
  hubName,
  IdentityInProcess,
  registrationId,
} from '../../../support/identity/identity-in-process.ts';
import { suite } from '../../../support/timed-suite.ts';

const test = suite('module identities');
const mine = { module_id: 'mine' };

async function provisioned(): Promise<IdentityInProcess> {
  const device = await IdentityInProcess.create();
  await device.start();
  await until(10_000, 'an identity', () => device.shown.properties['State'] === 'provisioned');
  await until(10_000, 'the end', () => device.running.isBusy?.() === false);
  device.cloud.requests.length = 0;
  return device;
}

function onHub({ cloud }: IdentityInProcess, id = 'mine'): RegisteredModule | undefined {
  return cloud.registry.modules.get(registrationId)?.get(id);
}

function put({ cloud }: IdentityInProcess, module: Partial<RegisteredModule> = {}): void {
  cloud.registry.put(registrationId, { moduleId: 'mine', ...module });
}

/** The content of the file of a module. */
async function saved(
  { stateDir }: IdentityInProcess,
  id = 'mine',
): Promise<Record<string, unknown>> {
  const text = await readFile(join(stateDir, 'modules', `${id}.json`), 'utf8');
  return JSON.parse(text) as Record<string, unknown>;
}

const bodyOf = ({ body }: HttpsRequest): unknown =>
  body === undefined ? undefined : JSON.parse(String(body));

test('are registered in three steps, and their keys are derived from their generation', async () => {
  await using device = await provisioned();
  const reply = await device.call('CreateModuleIdentity', mine, { requestId: 'asked' });
  const made = onHub(device);
  const derivation = (which: string) => `mine:${made?.generationId}:${which}`;
  const key = async (which: string) =>
    (await device.keys.derived(derivation(which))).toString('base64');
  const url = `https://${hubName}/devices/pump-1/modules/mine?api-version=2017-11-08-preview`;
  const { requests } = device.cloud;
  assert.equal(
    requests.map((one) => [one.method, one.url]),
    [
      ['GET', url],
      ['PUT', url],
      ['PUT', url],
    ],
  );
  const [, create, update] = requests;
  const named = { moduleId: 'mine', deviceId: 'pump-1', managedBy: 'iotedge' };
  assert.equal([create && bodyOf(create), create?.headers?.['if-match']], [named, undefined]);
  const symmetricKey = {
    primaryKey: await key('primary'),
    secondaryKey: await key('secondary'),
  };
  assert.is.not(symmetricKey.primaryKey, symmetricKey.secondaryKey);
  assert.equal(update && bodyOf(update), {
    ...named,
    authentication: { type: 'sas', symmetricKey },
  });
  assert.match(update?.headers?.['if-match'] ?? '', /^"[A-Za-z0-9+/=]+"$/);
  assert.ok(requests.every(({ requestId }) => requestId === 'asked'));
  assert.equal(
    device.keys.calls.map(({ member, args }) => [member, ...args]),
    [
      [
        'CreateKey',
        'iotedge/module-identities',
        'hmac-sha256',
        ['sign', 'derive'],
        { if_exists: 'keep', export_derived: true, request_id: 'asked' },
      ],
      ...['primary', 'secondary'].map((which) => [
        'ExportKey',
        'iotedge/module-identities',
        'raw',
        { derivation: Buffer.from(derivation(which)), request_id: 'asked' },
      ]),
    ],
  );
  const record = {
    kind: 'module',
    hub_hostname: hubName,
    gateway_hostname: hubName,
    device_id: 'pump-1',
    module_id: 'mine',
    generation_id: made?.generationId,
    auth: 'sas',
    key_id: 'iotedge/module-identities',
    derivation: Buffer.from(derivation('primary')),
    certificate_id: '',
  };
  assert.equal(reply, { identity: record });
  assert.equal(device.shown.objects.get('mine'), {
    Kind: 'module',
    HubHostname: hubName,
    GatewayHostname: hubName,
    DeviceId: 'pump-1',
    ModuleId: 'mine',
    GenerationId: made?.generationId,
    Auth: 'sas',
    KeyId: 'iotedge/module-identities',
    Derivation: Buffer.from(derivation('primary')),
    CertificateId: '',
  });
  assert.equal(await saved(device), {
    version: 1,
    moduleId: 'mine',
    managedBy: 'iotedge',
    generationId: made?.generationId,
    deviceId: 'pump-1',
    hubHostname: hubName,
    phase: 'complete',
  });
});

for (const [what, status] of [
  ['given to the hub', undefined],
  ['refused by it', 500],
] as const) {
  test(`have keys that are wiped in this process once they are ${what}`, async () => {
    await using device = await provisioned();
    const sent: string[] = [];
    device.cloud.interfere = (request) => {
      if (request.headers?.['if-match'] === undefined) return undefined;
      sent.push(...device.keys.calls.flatMap(({ reply }) => (reply[0] as Buffer).toString('hex')));
      return status === undefined ? undefined : { status };
    };
    await device.call('CreateModuleIdentity', mine).catch(() => undefined);
    assert.is(sent.length, 3);
    assert.ok(sent.slice(1).every((key) => /[1-9a-f]/.test(key)));
    const exported = device.keys.calls.filter(({ member }) => member === 'ExportKey');
    assert.is(exported.length, 2);
    for (const { reply } of exported) assert.equal(reply[0], Buffer.alloc(32));
  });
}

test('have the first key wiped when the second one fails', async () => {
  await using device = await provisioned();
  const { keys } = device;
  const call = keys.call.bind(keys);
  keys.call = async (message) => {
    const reply = await call(message);
    if (keys.calls.filter(({ member }) => member === 'ExportKey').length === 2)
      throw new Error('no');
    return reply;
  };
  await device.call('CreateModuleIdentity', mine).catch(() => undefined);
  const [first] = keys.calls.filter(({ member }) => member === 'ExportKey');
  assert.equal(first?.reply[0], Buffer.alloc(32));
});

test('sign their tokens with the primary key, which stays in the Keys service', async () => {
  await using device = await provisioned();
  await device.call('CreateModuleIdentity', mine);
  device.keys.calls.length = 0;
  const at = 1_700_000_000_900;
  device.clock = () => at;
  const createToken = (audience: string, lifetime_s: number) =>
    device.call('CreateSasToken', { ...mine, audience, lifetime_s }, { requestId: 'token' });
  const own = `${hubName}/devices/pump-1/modules/mine`;
  const { generationId } = onHub(device) ?? {};
  const key = await device.keys.derived(`mine:${generationId}:primary`);
  for (const [audience, lifetimeS, resource, expiryS] of [
    ['', 0, own, 1_700_003_600],
    [own, 1, own, 1_700_000_001],
    [`${own}/messages/events`, 86_400, `${own}/messages/events`, 1_700_086_400],
  ] as const) {
    const { token } = await createToken(audience, lifetimeS);
    const sr = encodeURIComponent(resource);
    const signature = createHmac('sha256', key).update(`${sr}\n${expiryS}`).digest('base64');
    const sig = encodeURIComponent(signature);
    assert.is(token, `SharedAccessSignature sr=${sr}&sig=${sig}&se=${expiryS}`);
  }
  assert.equal([...new Set(device.keys.calls.map(({ member }) => member))], ['Sign']);
  const [{ args } = { args: [] }] = device.keys.calls;
  assert.equal([args[0], args[1]], ['iotedge/module-identities', 'hmac-sha256']);
  assert.is(device.keys.calls[0]?.requestId, 'token');
  for (const [audience, lifetime] of [
    ['', 86_401],
    [`${hubName}/devices/pump-1/modules/other`, 60],
    [`${hubName}/devices/pump-1`, 60],
    [`${own}/../other`, 60],
  ] as const) {
    assert.is(await failureOf(createToken(audience, lifetime)), 'InvalidArgs', audience);
  }
  const device_ = device.call('CreateSasToken', { module_id: '', audience: '', lifetime_s: 60 });
  assert.is(await failureOf(device_), 'NotSupported');
});

test('that are complete are not requested again, unless another manager is requested', async () => {
  await using device = await provisioned();
  const create = (managed_by?: string) =>
    device.call('CreateModuleIdentity', {
      ...mine,
      options: { ...(managed_by && { managed_by }) },
    });
  const { identity: first } = await create('Me');
  device.cloud.requests.length = 0;
  assert.equal((await create('ME')).identity, first);
  assert.equal((await create()).identity, first);
  assert.is(device.cloud.requests.length, 0);
  assert.match(await messageOf(create('you')), 'AlreadyExists: module "mine" is managed by Me');
  assert.is(device.cloud.requests.length, 0);
});

test('preserve their generation on an update, and get other keys only with another generation', async () => {
  await using device = await provisioned();
  await device.call('CreateModuleIdentity', mine);
  const before = onHub(device);
  put(device, { ...before, etag: nextEtag(), keys: { primaryKey: 'a', secondaryKey: 'b' } });
  device.cloud.requests.length = 0;
  const phases: unknown[] = [];
  device.cloud.interfere = async () => {
    phases.push((await saved(device))['phase']);
    return undefined;
  };
  const update = { ...mine, options: { managed_by: 'me' } };
  const { identity } = await device.call('UpdateModuleIdentity', update);
  assert.is(identity.generation_id, before?.generationId);
  assert.equal(onHub(device)?.keys, before?.keys);
  assert.equal([onHub(device)?.managedBy, (await saved(device))['managedBy']], ['me', 'me']);
  assert.equal(
    device.cloud.requests.map(({ method }) => method),
    ['GET', 'PUT'],
  );
  // the keys on the hub are valid until it has others
  assert.equal(phases, ['updating', 'updating']);
});

test('are NotFound when the hub has none to update', async () => {
  await using device = await provisioned();
  await device.call('CreateModuleIdentity', mine);
  device.cloud.registry.modules.get(registrationId)?.delete('mine');
  assert.match(
    await messageOf(device.call('UpdateModuleIdentity', mine)),
    'NotFound: the hub has no module "mine"',
  );
  assert.is(
    await failureOf(device.call('UpdateModuleIdentity', { module_id: 'absent' })),
    'NotFound',
  );
});

test('are changed and deleted only in the state in which they were read', async () => {
  await using device = await provisioned();
  await device.call('CreateModuleIdentity', mine);
  const { etag } = onHub(device) ?? {};
  device.cloud.requests.length = 0;
  await device.call('UpdateModuleIdentity', mine);
  assert.is(device.cloud.requests.at(-1)?.headers?.['if-match'], `"${etag}"`);
  const after = onHub(device)?.etag;
  assert.is.not(after, etag);
  device.cloud.interfere = ({ method }) => {
    if (method === 'DELETE') put(device, { ...onHub(device), etag: nextEtag() });
    return undefined;
  };
  assert.is(await failureOf(device.call('DeleteModuleIdentity', mine)), 'Unavailable');
  assert.ok(onHub(device));
  assert.is((await device.call('GetModuleIdentity', mine)).identity.module_id, 'mine');
  device.cloud.interfere = undefined;
  await device.call('DeleteModuleIdentity', mine);
  assert.is(onHub(device), undefined);
  assert.equal(await readdir(join(device.stateDir, 'modules')), []);
  assert.not(device.shown.objects.has('mine'));
});

test('are not considered complete when the hub returns another generation', async () => {
  await using device = await provisioned();
  device.cloud.interfere = ({ headers }) =>
    headers?.['if-match'] === undefined
      ? undefined
      : { status: 200, body: { moduleId: 'mine', generationId: 'another' } };
  assert.match(
    await messageOf(device.call('CreateModuleIdentity', mine)),
    'Unavailable: module "mine" changed on the hub: try again',
  );
  assert.is((await saved(device))['phase'], 'creating');
  assert.is(await failureOf(device.call('GetModuleIdentity', mine)), 'NotFound');
});

test('are not created while the device has no identity', async () => {
  await using device = await IdentityInProcess.create();
  await device.start({ live: false });
  for (const method of [
    'CreateModuleIdentity',
    'UpdateModuleIdentity',
    'DeleteModuleIdentity',
  ] as const) {
    assert.is(
      await failureOf(device.call(method, { ...mine, options: { adopt: true } })),
      'NotProvisioned',
      method,
    );
  }
  assert.is(device.cloud.requests.length, 0);
});

test('of one id are processed one after the other', async () => {
  await using device = await provisioned();
  await device.call('CreateModuleIdentity', mine);
  device.cloud.requests.length = 0;
  let active = 0;
  let most = 0;
  device.cloud.interfere = async () => {
    most = Math.max(most, ++active);
    await new Promise(setImmediate);
    active--;
    return undefined;
  };
  await Promise.all([1, 2, 3].map(() => device.call('UpdateModuleIdentity', mine)));
  assert.equal([most, device.cloud.requests.length], [1, 6]);
  // one that fails does not block later ones
  let refusals = 1;
  device.cloud.interfere = () => (refusals-- > 0 ? { status: 500 } : undefined);
  const outcomes = [1, 2].map(() => failureOf(device.call('UpdateModuleIdentity', mine)));
  assert.equal(await Promise.all(outcomes), ['Unavailable', 'no failure']);
});

test('of the hub are listed once for all callers within five seconds', async () => {
  await using device = await provisioned();
  const clock = globalThis.performance.now.bind(globalThis.performance);
  let aheadMs = 0;
  globalThis.performance.now = () => clock() + aheadMs;
  try {
    const list = async () =>
      (await device.call('ListModuleIdentities', { options: { refresh: true } })).identities.length;
    const requestCount = () => device.cloud.requests.length;
    assert.equal([await list(), requestCount()], [2, 1]);
    put(device);
    aheadMs = 4000;
    assert.equal([await list(), requestCount()], [2, 1]);
    aheadMs = 10_000;
    assert.equal([await list(), requestCount()], [3, 2]);
    device.cloud.interfere = ({ method }) => (method === 'GET' ? { status: 500 } : undefined);
    await failureOf(device.call('UpdateModuleIdentity', { ...mine, options: { adopt: true } }));
    device.cloud.interfere = undefined;
    // a failed attempt may have changed it
    device.cloud.requests.length = 0;
    assert.equal([await list(), requestCount()], [3, 1]);
  } finally {
    globalThis.performance.now = clock;
  }
});

test('of other software are listed with their authentication', async () => {
  await using device = await provisioned();
  const body = [
    { moduleId: 'a', generationId: '1', authentication: { type: 'sas' } },
    { moduleId: 'b', generationId: '2', authentication: { type: 'selfSigned' } },
    { moduleId: 'c', generationId: '3', authentication: { type: 'certificateAuthority' } },
    { moduleId: 'd', generationId: '4', authentication: { type: 'none' } },
    { moduleId: 'e', generationId: '5' },
  ];
  device.cloud.interfere = () => ({ status: 200, body });
  const listed = await device.call('ListModuleIdentities', { options: { refresh: true } });
  assert.equal(
    listed.identities.map(({ module_id, generation_id, auth, key_id }) => [
      module_id,
      generation_id,
      auth,
      key_id,
    ]),
    [
      ['a', '1', 'sas', ''],
      ['b', '2', 'x509', ''],
      ['c', '3', 'x509', ''],
      ['d', '4', '', ''],
      ['e', '5', '', ''],
    ],
  );
  const [{ kind, hub_hostname, gateway_hostname, device_id, derivation } = {} as never] =
    listed.identities;
  assert.equal(
    [kind, hub_hostname, gateway_hostname, device_id],
    ['module', hubName, hubName, 'pump-1'],
  );
  assert.is(Buffer.from(derivation).length, 0);
});

test('are listed from the saved state without a request to the hub', async () => {
  await using device = await provisioned();
  const { identity } = await device.call('CreateModuleIdentity', mine);
  device.cloud.requests.length = 0;
  assert.equal(await device.call('ListModuleIdentities'), { identities: [identity] });
  assert.equal(await device.call('GetModuleIdentity', mine), { identity });
  assert.is(device.cloud.requests.length, 0);
});

test('with failed requests are reported, sixteen of them, until one succeeds', async () => {
  await using device = await provisioned();
  const create = (id: string | number) =>
    device.call('CreateModuleIdentity', { module_id: `m${id}` });
  device.cloud.interfere = () => ({ status: 500 });
  for (let at = 1; at <= 16; at++) assert.is(await failureOf(create(at)), 'Unavailable');
  const named = () => String(device.shown.properties['LastError']).match(/m\d+(?=": )/g) ?? [];
  // LastError is truncated, so the first of all that are stored identifies them
  assert.is(named()[0], 'm1');
  assert.is(device.shown.properties['Health'], 'degraded');
  await failureOf(create(1));
  assert.is(named()[0], 'm2');
  await failureOf(create(17));
  assert.is(named()[0], 'm3');
  device.cloud.interfere = undefined;
  await create(3);
  assert.is(named()[0], 'm4');
  for (const at of [1, 2, ...Array.from({ length: 14 }, (_, index) => index + 4)]) await create(at);
  assert.equal(
    [device.shown.properties['LastError'], device.shown.properties['Health']],
    ['', 'ok'],
  );
});

test('that could not be updated are a problem until they can', async () => {
  await using device = await provisioned();
  await device.call('CreateModuleIdentity', mine);
  device.cloud.interfere = () => ({ status: 500 });
  assert.is(await failureOf(device.call('UpdateModuleIdentity', mine)), 'Unavailable');
  assert.match(String(device.shown.properties['LastError']), 'module "mine": ');
  device.cloud.interfere = undefined;
  await device.call('UpdateModuleIdentity', mine);
  assert.is(device.shown.properties['LastError'], '');
});

test('that fail by mistake of a caller are not a problem of the service', async () => {
  await using device = await provisioned();
  put(device, { managedBy: 'puppet' });
  assert.is(await failureOf(device.call('CreateModuleIdentity', mine)), 'AlreadyExists');
  assert.is(device.shown.properties['LastError'], '');
});

test('are persisted before the request to the hub, and so resumed after a crash', async () => {
  await using device = await provisioned();
  const intents = join(device.stateDir, 'operations');
  device.cloud.interfere = () => new Promise(() => undefined);
  const options = { managed_by: 'me', adopt: true, wait: false };
  const { identity } = await device.call('CreateModuleIdentity', { ...mine, options });
  const { module_id, generation_id, hub_hostname, device_id } = identity;
  assert.equal([module_id, generation_id, hub_hostname, device_id], ['mine', '', '', '']);
  assert.equal(JSON.parse(await readFile(join(intents, 'mine.json'), 'utf8')), {
    version: 1,
    verb: 'CreateModuleIdentity',
    args: { managedBy: 'me', adopt: true },
  });
  assert.is(device.running.isBusy?.(), true);
  await device.stop();
  put(device, { managedBy: '' });
  device.cloud.interfere = undefined;
  await device.start();
  await until(10_000, 'the end', () => device.running.isBusy?.() === false);
  assert.equal(await readdir(intents), []);
  assert.is(onHub(device)?.managedBy, 'me');
  const remove = { ...mine, options: { wait: false } };
  device.cloud.interfere = () => new Promise(() => undefined);
  assert.equal(await device.call('DeleteModuleIdentity', remove), {});
  await device.stop();
  device.cloud.interfere = undefined;
  await device.start();
  await until(10_000, 'the end', () => device.running.isBusy?.() === false);
  assert.is(onHub(device), undefined);
});

test('are resumed without adopt when they were requested without', async () => {
  await using device = await provisioned();
  for (const [verb, args] of [
    ['CreateModuleIdentity', { adopt: 'true' }],
    ['DeleteModuleIdentity', { adopt: false }],
  ] as const) {
    await device.stop();
    put(device);
    const file = join(device.stateDir, 'operations', 'mine.json');
    await writeFile(file, JSON.stringify({ version: 1, verb, args }), { mode: 0o600 });
    await device.start();
    await until(10_000, 'the end', () => device.running.isBusy?.() === false);
    assert.ok(onHub(device), verb);
    assert.is(await failureOf(device.call('GetModuleIdentity', mine)), 'NotFound');
  }
  const failed = device.log.filter(({ message }) => message === 'operation failed');
  assert.equal(
    failed.map(({ level, fields }) => [level, fields['operation'], fields['id']]),
    [
      ['warn', 'CreateModuleIdentity', 'mine'],
      ['warn', 'DeleteModuleIdentity', 'mine'],
    ],
  );
});

test('are reported when their pending operations are of an unknown kind, which stay', async () => {
  await using device = await provisioned();
  await device.stop();
  const file = join(device.stateDir, 'operations', 'mine.json');
  await writeFile(file, '{"version":1,"verb":"PolishModuleIdentity"}', { mode: 0o600 });
  await device.start();
  const unknown = device.log.find(({ message }) => message === 'pending operation unknown');
  assert.equal([unknown?.level, unknown?.fields['id']], ['error', 'mine']);
  assert.match(await readFile(file, 'utf8'), 'Polish');
});

test('are refused invalid names, kinds, usages and managers', async () => {
  await using device = await provisioned();
  const codeOf = (module_id: string, options: object = {}) =>
    failureOf(device.call('CreateModuleIdentity', { module_id, options }));
  for (const id of ['', 'a/b', 'a@b', '.', '..', 'a\n', 'x'.repeat(129)]) {
    assert.is(await codeOf(id), 'InvalidArgs', JSON.stringify(id));
  }
  for (const managed_by of ['', 'a\n', 'ä', 'x'.repeat(129)]) {
    assert.is(await codeOf('a', { managed_by }), 'InvalidArgs', JSON.stringify(managed_by));
  }
  for (const options of [{ kind: 'device' }, { kind: 'local' }, { usage: 'server' }]) {
    assert.is(await codeOf('a', options), 'NotSupported', JSON.stringify(options));
    const update = device.call('UpdateModuleIdentity', { module_id: 'a', options });
    assert.is(await failureOf(update), 'NotSupported', JSON.stringify(options));
  }
  assert.is(device.cloud.requests.length, 0);
  assert.is(await codeOf('a', { kind: 'module', managed_by: 'x'.repeat(128) }), 'no failure');
});

test('continue when their caller disconnects', async () => {
  await using device = await provisioned();
  await device.call('CreateModuleIdentity', mine);
  const caller = new AbortController();
  device.cloud.interfere = () => {
    caller.abort();
    return undefined;
  };
  await device.call(
    'UpdateModuleIdentity',
    { ...mine, options: { managed_by: 'me' } },
    { signal: caller.signal },
  );
  assert.is(onHub(device)?.managedBy, 'me');
});

test('of the caller are those that the configuration gives to its uid', async () => {
  await using device = await IdentityInProcess.create();
  await device.start({
    yaml: 'principals: { app: { uid: 7, module_id: mine }, gateway: { uid: 8 }, none: { uid: 9, module_id: absent } }',
  });
  await until(10_000, 'an identity', () => device.shown.properties['State'] === 'provisioned');
  const { identity } = await device.call('CreateModuleIdentity', mine);
  const own = (uid: number) => device.call('GetCallerIdentity', {}, { uid });
  assert.equal((await own(7)).identity, identity);
  const { kind, device_id, key_id, certificate_id, auth } = (await own(8)).identity;
  assert.equal(
    [kind, device_id, key_id, certificate_id, auth],
    ['device', 'pump-1', 'device-id', '', 'x509'],
  );
  for (const uid of [9, 0, 1000]) assert.is(await failureOf(own(uid)), 'NotFound', String(uid));
});

test.run();
