import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus } from '../../../src/dbus/bus.ts';
import type { Via } from '../../../src/dbus/client/via.ts';
import { Variant } from '../../../src/dbus/wire/variant.ts';
import { type ErrorCode, ServiceError } from '../../../src/errors.ts';
import { parseModuleId } from '../../../src/ids.ts';
import { identityService } from '../../../src/interfaces/identity.ts';
import {
  Identities,
  type IdentityClient,
  onIdentityChange,
} from '../../../src/modules/identities.ts';
import { Operation } from '../../../src/service/operations/operation.ts';
import { failureOf } from '../../support/failure.ts';
import { via } from '../../support/via.ts';

const test = suite('module identities');
const id = parseModuleId('sensor');

interface Setting {
  /** The failures of each method, one after the other; it succeeds when there are none left. */
  readonly failures?: Partial<Record<keyof IdentityClient, ErrorCode[]>>;
  readonly generation?: string;
}

/** Identities with an Identity service that fails as given, the calls to it and a clock. */
function identitiesWith({ failures = {}, generation = 'g' }: Setting = {}) {
  const calls: (readonly [string, unknown])[] = [];
  const clock = { ms: 0 };
  const replyTo =
    (method: keyof IdentityClient, result: object) => (input: object, options: object) => {
      const { requestId: _requestId, signal: _signal, ...rest } = { ...via, ...options };
      calls.push([method, { ...input, ...rest }]);
      const code = failures[method]?.shift();
      if (code !== undefined) return Promise.reject(new ServiceError(code, 'no'));
      return Promise.resolve(result);
    };
  const identity = { identity: { generation_id: generation } };
  const client = {
    GetModuleIdentity: replyTo('GetModuleIdentity', identity),
    CreateModuleIdentity: replyTo('CreateModuleIdentity', identity),
    DeleteModuleIdentity: replyTo('DeleteModuleIdentity', {}),
    Provision: replyTo('Provision', {}),
  } as unknown as IdentityClient; // the methods that are used
  return {
    identities: new Identities(client, () => new Date(clock.ms)),
    calls,
    methods: () => calls.map(([method]) => method).join(' '),
    clock,
  };
}

test('are cached for ten minutes, or until a change', async () => {
  const { identities, calls, clock } = identitiesWith();
  for (const ms of [0, 1, 599_999]) {
    clock.ms = ms;
    await identities.get(id, via);
  }
  assert.is(calls.length, 1);
  clock.ms = 600_000;
  await identities.get(id, via);
  assert.is(calls.length, 2);
  identities.clear();
  await identities.get(id, via);
  await identities.get(parseModuleId('filter'), via);
  assert.is(calls.length, 4);
});

test('are not cached if they change while they are fetched', async () => {
  const { identities, calls } = identitiesWith();
  const fetching = identities.get(id, via);
  identities.clear(); // as a signal that comes together with the reply
  await fetching;
  await identities.get(id, via);
  assert.is(calls.length, 2);
});

test('are registered if missing, and adopted from any creator', async () => {
  const { identities, calls } = identitiesWith({ failures: { GetModuleIdentity: ['NotFound'] } });
  await identities.ensure(id, via);
  await identities.get(id, via);
  assert.equal(calls, [
    ['GetModuleIdentity', { module_id: 'sensor' }],
    ['CreateModuleIdentity', { module_id: 'sensor', options: { adopt: true } }],
  ]);
});

test('that an agent has deleted are not registered before they are wanted again', async () => {
  const { identities, methods } = identitiesWith({
    failures: { GetModuleIdentity: ['NotFound', 'NotFound'] },
  });
  identities.release(id);
  assert.is(await failureOf(identities.ensure(id, via)), 'NotFound');
  assert.is(methods(), 'GetModuleIdentity');
  identities.reclaim(id);
  await identities.ensure(id, via);
  assert.is(methods(), 'GetModuleIdentity GetModuleIdentity CreateModuleIdentity');
});

test('of the agent and the hub are managed by IoT Edge', async () => {
  const { identities, calls } = identitiesWith({ failures: { GetModuleIdentity: ['NotFound'] } });
  await identities.ensure(parseModuleId('$edgeHub'), via);
  assert.equal(calls[1]?.[1], {
    module_id: '$edgeHub',
    options: { adopt: true, managed_by: 'iotEdge' },
  });
});

test('are registered after provisioning an unprovisioned device', async () => {
  const { identities, calls, methods } = identitiesWith({
    failures: { GetModuleIdentity: ['NotProvisioned'], CreateModuleIdentity: ['NotProvisioned'] },
  });
  await identities.ensure(id, via);
  assert.is(methods(), 'GetModuleIdentity CreateModuleIdentity Provision CreateModuleIdentity');
  assert.equal(calls[2]?.[1], { timeoutMs: 300_000 });
});

test('are registered after provisioning on behalf of the operation that wants them', async () => {
  const operation = new Operation({ verb: 'Start', id: 'sensor', args: {}, requestId: 'r' });
  const provision: unknown[] = [];
  const failures = ['NotProvisioned'];
  const client = {
    GetModuleIdentity: () => Promise.reject(new ServiceError('NotFound', 'no')),
    CreateModuleIdentity: () =>
      failures.pop() === undefined
        ? Promise.resolve({ identity: { generation_id: 'g' } })
        : Promise.reject(new ServiceError('NotProvisioned', 'no')),
    Provision: (_args: object, { requestId, signal }: Via) => provision.push(requestId, signal),
  } as unknown as IdentityClient; // the methods that are used
  await new Identities(client, () => new Date(0)).ensure(id, operation);
  assert.is(provision[0], 'r');
  assert.is(provision[1], operation.signal);
});

test('are not registered after any other failure', async () => {
  for (const code of ['Unavailable', 'AccessDenied', 'Cancelled'] as const) {
    const first = identitiesWith({ failures: { GetModuleIdentity: [code] } });
    assert.is(await failureOf(first.identities.ensure(id, via)), code);
    assert.is(first.methods(), 'GetModuleIdentity');
    const second = identitiesWith({
      failures: { GetModuleIdentity: ['NotFound'], CreateModuleIdentity: [code] },
    });
    assert.is(await failureOf(second.identities.ensure(id, via)), code);
    assert.is(second.methods(), 'GetModuleIdentity CreateModuleIdentity');
  }
  const { identities, methods } = identitiesWith({ failures: { GetModuleIdentity: ['NotFound'] } });
  assert.is(await failureOf(identities.get(id, via)), 'NotFound');
  assert.is(methods(), 'GetModuleIdentity', 'get registers nothing');
});

test('are refused without a generation', async () => {
  const { identities } = identitiesWith({ generation: '' });
  assert.is(await failureOf(identities.get(id, via)), 'Unavailable');
});

test('are deleted even if another creator registered them, and fetched again', async () => {
  const { identities, calls, methods } = identitiesWith();
  await identities.get(id, via);
  await identities.erase(id, via);
  await identities.get(id, via);
  assert.equal(calls[1]?.[1], { module_id: 'sensor', options: { adopt: true } });
  assert.is(methods(), 'GetModuleIdentity DeleteModuleIdentity GetModuleIdentity');
  const absent = identitiesWith({ failures: { DeleteModuleIdentity: ['NotFound'] } });
  assert.is(await failureOf(absent.identities.erase(id, via)), 'no failure');
  const away = identitiesWith({ failures: { DeleteModuleIdentity: ['Unavailable'] } });
  assert.is(await failureOf(away.identities.erase(id, via)), 'Unavailable');
});

test('report which modules a change is about', async () => {
  type Signal = Parameters<Parameters<Bus['subscribe']>[1]>[0];
  let emit = (_signal: Signal): void => undefined;
  const subscribe: Bus['subscribe'] = (_match, listener) => {
    emit = listener;
    return Promise.resolve({ [Symbol.asyncDispose]: () => Promise.resolve() });
  };
  const ids = ['$edgeAgent', 'sensor'].map(parseModuleId);
  const reported: string[] = [];
  await onIdentityChange({ subscribe } as Bus, (concerns) => {
    // the method that is used
    reported.push(ids.filter(concerns).join());
  });
  const { path } = identityService;
  const signal = (member: string, at: string, body: readonly unknown[]) =>
    emit({ member, path: at, body } as unknown as Signal); // the members that are read
  signal('InterfacesAdded', path, [`${path}/module/sensor`, {}]);
  signal('InterfacesRemoved', path, [`${path}/module/_24edgeAgent`, []]);
  signal('PropertiesChanged', `${path}/module/sensor`, []);
  signal('PropertiesChanged', path, ['', { State: new Variant('s', 'provisioned') }]);
  signal('PropertiesChanged', path, ['', { State: new Variant('s', 'failed') }]);
  signal('PropertiesChanged', path, ['', { LastError: new Variant('s', '') }]);
  assert.equal(reported, ['sensor', '$edgeAgent', 'sensor', '$edgeAgent,sensor']);
});

test.run();
