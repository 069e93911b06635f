/**
 * Authorization of the real services with both backends: every method by a rule that matches it exactly and by none
 * that does not, and the grants between the services.
 */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus } from '../../src/dbus/bus.ts';
import { type AuthorizedCall, differing, nameOf, type Use } from '../support/authorized/call.ts';
import { authorizedCalls, publicMethods } from '../support/authorized/calls.ts';
import { connectAs } from '../support/clients/connect-as.ts';
import { deadline } from '../support/deadline.ts';
import { codeIn } from '../support/failure.ts';
import { rulesForCalls } from '../support/polkit/authorization-contract.ts';
import { bodyOf, definitionOf } from '../support/polkit/authorization-requests.ts';
import { polkitRules } from '../support/polkit/polkit-rules.ts';
import { Rig } from '../support/rig/rig.ts';
import { type ServiceName, services } from '../support/rig/rig-services.ts';
import { identityOf, type RigUser } from '../support/rig/rig-users.ts';

const names = Object.keys(services) as ServiceName[];
const users = names.map((name) => services[name].user as RigUser);
const profiles = ['client', 'server', 'device-identity', 'device-ca', 'workload-ca'];
const settings = {
  /** Nothing listens there: no call leaves this machine. */
  identity: { provisioning: { global_endpoint: 'https://127.0.0.1:1' } },
  certificates: { certificates: { '*': { profiles } } },
  modules: { allow_elevated: true },
};

/** The rules for alice that apply to a service. */
function aclOf(service: ServiceName): object {
  const known = (action: string): boolean => Object.hasOwn(services[service].actions, action);
  const acl = rulesForCalls('alice').filter(({ actions }) => actions.some(known));
  return { authorization: { backend: 'acl', acl } };
}

/** The same rules for alice, and none for any other user. */
const backends: Readonly<Record<string, () => Promise<Rig>>> = {
  acl: () =>
    Rig.start({
      settings: {
        keys: aclOf('keys'),
        certificates: { ...settings.certificates, ...aclOf('certificates') },
        identity: { ...settings.identity, ...aclOf('identity') },
        modules: { ...settings.modules, ...aclOf('modules') },
      },
      polkit: false,
    }),
  polkit: () => Rig.start({ settings, rules: polkitRules(rulesForCalls('alice')) }),
};

interface Context {
  rig: Rig;
  buses: Map<RigUser, Bus>;
}

/** The outcome of a call: `a result`, or the code of its error. */
async function outcomeOf(
  { buses }: Context,
  user: RigUser,
  call: Pick<AuthorizedCall, 'service' | 'method' | 'use'>,
  use: Use = call.use,
): Promise<string> {
  const bus = buses.get(user);
  assert.ok(bus);
  const { busName: destination, path, manager } = services[call.service];
  const definition = definitionOf(call.service, call.method);
  const signature = `${Object.values(definition.in ?? {}).join('')}a{sv}`;
  const target = { destination, path, interface: manager.name, member: call.method };
  const reply = bus.call({ ...target, signature, body: bodyOf(definition, use) });
  return deadline(30_000, reply, nameOf(call)).then(() => 'a result', codeIn);
}

/** A call of one service to another, and its outcome. */
type Grant = readonly [service: ServiceName, method: string, use: Use, outcome: string];

const data = Buffer.from('data');
const bytes = { derivation: Buffer.from('m') };
const sign = (
  key_id: string,
  mechanism: string,
  options: NonNullable<Use['options']>,
  what: string,
): Grant => ['keys', 'Sign', { args: { key_id, mechanism, data }, options }, what];
const create = (key_id: string, what: string): Grant => [
  'keys',
  'CreateKey',
  { args: { key_id, algorithm: 'hmac-sha256', usages: ['sign'] } },
  what,
];
const cipher = (
  method: string,
  key_id: string,
  options: NonNullable<Use['options']>,
  what: string,
): Grant => [
  'keys',
  method,
  { args: { key_id, mechanism: 'aes-256-gcm', input: data }, options },
  what,
];
const exported = (key_id: string, options: NonNullable<Use['options']>, what: string): Grant => [
  'keys',
  'ExportKey',
  { args: { key_id, format: 'raw' }, options },
  what,
];
const issue = (
  certificate_id: string,
  options: NonNullable<Use['options']>,
  what: string,
): Grant => ['certificates', 'Issue', { args: { certificate_id, csr: data }, options }, what];
const imported = (certificate_id: string, what: string): Grant => [
  'certificates',
  'ImportCertificate',
  { args: { certificate_id, data, format: 'pem' }, options: {} },
  what,
];
const no = 'AccessDenied';

/** The calls that each service may make to the others, and similar ones that it may not make. */
const grants: Readonly<Record<string, readonly Grant[]>> = {
  'iotedge-keys': [],
  'iotedge-certificates': [
    sign('device-ca', 'ecdsa-sha256', {}, 'a result'),
    sign('device-ca@2', 'ecdsa-sha256', {}, 'NotFound'),
    sign('iotedge/certificate/x', 'ecdsa-sha256', {}, 'NotFound'),
    sign('iotedge/workload-ca', 'ecdsa-sha256', {}, no),
    sign('device-id', 'ecdsa-sha256', {}, no),
    sign('device-ca', 'ecdsa-sha256', bytes, no),
    sign('iotedge/module-identities', 'hmac-sha256', bytes, no),
  ],
  'iotedge-identity': [
    sign('device-id', 'ecdsa-sha256', {}, 'a result'),
    sign('device-ca', 'ecdsa-sha256', {}, no),
    sign('device-id', 'ecdsa-sha256', bytes, no),
    sign('iotedge/module-identities', 'hmac-sha256', bytes, 'NotFound'),
    sign('iotedge/module-identities', 'hmac-sha256', {}, no),
    sign('iotedge/workload-ca', 'ecdsa-sha256', {}, no),
    exported('iotedge/module-identities', bytes, 'NotFound'),
    exported('iotedge/module-identities', {}, no),
    exported('iotedge/module-encryption', bytes, no),
    create('iotedge/module-encryption', no),
    create('iotedge/module-identities', 'a result'),
    sign('iotedge/certificate/iotedge/device-identity', 'ecdsa-sha256', {}, 'NotFound'),
    sign('iotedge/certificate/iotedge/workload-ca', 'ecdsa-sha256', {}, no),
    imported('iotedge/device-identity', 'InvalidArgs'),
    imported('iotedge/workload-ca', no),
    imported('device-id', no),
  ],
  'iotedge-modules': [
    sign('iotedge/module-identities', 'hmac-sha256', bytes, 'NotSupported'),
    sign('iotedge/module-identities', 'hmac-sha256', {}, no),
    sign('device-id', 'ecdsa-sha256', {}, no),
    sign('iotedge/workload-ca', 'ecdsa-sha256', {}, no),
    exported('iotedge/module-identities', bytes, no),
    create('iotedge/module-identities', no),
    cipher('Encrypt', 'iotedge/module-encryption', {}, 'NotFound'),
    cipher('Decrypt', 'iotedge/module-encryption', {}, 'NotFound'),
    cipher('Encrypt', 'iotedge/module-encryption', bytes, no),
    cipher('Decrypt', 'iotedge/module-identities', {}, no),
    cipher('Encrypt', 'iotedge/module-identities', bytes, no),
    create('iotedge/module-encryption', 'a result'),
    issue('iotedge/module/m/server', {}, 'InvalidArgs'),
    issue('iotedge/module/m/server', { issuer: 'iotedge/workload-ca' }, 'InvalidArgs'),
    issue('iotedge/module/m/server', { issuer: 'iotedge/module/n/server' }, no),
    issue('web', {}, no),
  ],
};

/** The calls of the list that a service may make: their ids belong to no grant. */
const free: Readonly<Record<string, readonly string[]>> = {
  'iotedge-modules': [
    'Provision',
    'Reprovision',
    'Cancel',
    'CreateModuleIdentity',
    'UpdateModuleIdentity',
    'DeleteModuleIdentity',
  ],
};

for (const [backend, start] of Object.entries(backends)) {
  const test = suite<Context>(`authorization of the services by ${backend}`);
  test.before(async (context) => {
    context.rig = await start();
    context.buses = new Map();
    for (const user of ['alice' as const, ...users])
      context.buses.set(user, await connectAs(context.rig.address, identityOf(user)));
  });
  test.after(async ({ rig, buses }) => {
    for (const bus of buses.values()) await bus.close();
    await rig[Symbol.asyncDispose]();
  });

  for (const call of authorizedCalls) {
    if (call.outcome === undefined) continue;
    test(`allows ${nameOf(call)} by a rule with all of its details, and with no other`, async (context) => {
      const wrong: string[] = [];
      for (const [detail, value, difference] of call.others) {
        const found = await outcomeOf(context, 'alice', call, differing(call.use, difference));
        if (found !== 'AccessDenied') wrong.push(`with ${detail} "${value}" it is ${found}`);
      }
      assert.equal(wrong, []);
      assert.is(await outcomeOf(context, 'alice', call), call.outcome);
    });
  }

  for (const user of users) {
    test(`lets ${user} make no call of another service without a grant`, async (context) => {
      const wrong: string[] = [];
      for (const call of authorizedCalls) {
        if (call.outcome === undefined || services[call.service].user === user) continue;
        const isFree = free[user]?.includes(call.method) === true && call.service === 'identity';
        const found = await outcomeOf(context, user, call);
        if ((found === no) === isFree) wrong.push(`${nameOf(call)} is ${found}`);
      }
      assert.equal(wrong, []);
    });
  }

  for (const [user, calls] of Object.entries(grants)) {
    if (calls.length === 0) continue;
    test(`lets ${user} make the granted calls, and no similar ones`, async (context) => {
      const wrong: string[] = [];
      for (const [service, method, use, expected] of calls) {
        const found = await outcomeOf(context, user as RigUser, { service, method, use });
        if (found !== expected) wrong.push(`${method} ${JSON.stringify(use)} is ${found}`);
      }
      assert.equal(wrong, []);
    });
  }

  test('lets the user of a service call all of its methods', async (context) => {
    const wrong: string[] = [];
    for (const call of authorizedCalls) {
      if (call.outcome === undefined) continue;
      const found = await outcomeOf(context, services[call.service].user as RigUser, call);
      if (found === no) wrong.push(nameOf(call));
    }
    assert.equal(wrong, []);
  });

  test('requests no authorization for public methods', async (context) => {
    const uses: Readonly<Record<string, Use>> = {
      GetPublicKey: { args: { key_id: 'none' } },
      GetRandom: { args: { count: 1 } },
      GetCertificate: { args: { certificate_id: 'none' } },
      GetModuleIdentity: { args: { module_id: 'none' } },
    };
    for (const service of names) {
      for (const method of publicMethods[service]) {
        const found = await outcomeOf(context, 'iotedge-keys', {
          service,
          method,
          use: uses[method] ?? {},
        });
        assert.match(found, /^(a result|NotFound|NotProvisioned|Unavailable)$/, method);
      }
    }
  });
  test.run();
}
