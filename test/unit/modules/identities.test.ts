import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ErrorCode, ServiceError } from '../../../src/errors.ts';
import { parseModuleId } from '../../../src/ids.ts';
import { Identities, type IdentityClient } from '../../../src/modules/identities.ts';
import { failureOf } from '../../support/failure.ts';
import { via } from '../../support/via.ts';

const test = suite('identities of modules');
const id = parseModuleId('sensor');

interface Answers {
  /** The failures of each method, one after the other; it succeeds when there are none left. */
  readonly failures?: Partial<Record<keyof IdentityClient, ErrorCode[]>>;
  readonly generation?: string;
}

/** Identities of an Identity service that answers so, what it was asked and a clock. */
function identitiesWith({ failures = {}, generation = 'g' }: Answers = {}) {
  const asked: (readonly [string, unknown])[] = [];
  const clock = { ms: 0 };
  const answer =
    (method: keyof IdentityClient, result: object) => (input: object, options: object) => {
      const { requestId: _requestId, signal: _signal, ...rest } = { ...via, ...options };
      asked.push([method, { ...input, ...rest }]);
      const code = failures[method]?.shift();
      if (code !== undefined) return Promise.reject(new ServiceError(code, 'no'));
      return Promise.resolve(result);
    };
  const identity = { identity: { generation_id: generation } };
  const client = {
    GetModuleIdentity: answer('GetModuleIdentity', identity),
    CreateModuleIdentity: answer('CreateModuleIdentity', identity),
    DeleteModuleIdentity: answer('DeleteModuleIdentity', {}),
    Provision: answer('Provision', {}),
  } as unknown as IdentityClient; // all that is asked
  return {
    identities: new Identities(client, () => new Date(clock.ms)),
    asked,
    methods: () => asked.map(([method]) => method).join(' '),
    clock,
  };
}

test('are cached for ten minutes, and not after a change', async () => {
  const { identities, asked, clock } = identitiesWith();
  for (const ms of [0, 1, 599_999]) {
    clock.ms = ms;
    await identities.get(id, via);
  }
  assert.is(asked.length, 1);
  clock.ms = 600_000;
  await identities.get(id, via);
  assert.is(asked.length, 2);
  identities.clear();
  await identities.get(id, via);
  await identities.get(parseModuleId('filter'), via);
  assert.is(asked.length, 4);
});

test('are not cached when they changed while they were asked for', async () => {
  const { identities, asked } = identitiesWith();
  const asking = identities.get(id, via);
  identities.clear(); // as a signal that comes together with the reply
  await asking;
  await identities.get(id, via);
  assert.is(asked.length, 2);
});

test('are registered when there is none, whatever made it', async () => {
  const { identities, asked } = identitiesWith({ failures: { GetModuleIdentity: ['NotFound'] } });
  await identities.ensure(id, via);
  await identities.get(id, via);
  assert.equal(asked, [
    ['GetModuleIdentity', { module_id: 'sensor' }],
    ['CreateModuleIdentity', { module_id: 'sensor', options: { adopt: true } }],
  ]);
});

test('of the agent and the hub are managed by IoT Edge', async () => {
  const { identities, asked } = identitiesWith({ failures: { GetModuleIdentity: ['NotFound'] } });
  await identities.ensure(parseModuleId('$edgeHub'), via);
  assert.equal(asked[1]?.[1], {
    module_id: '$edgeHub',
    options: { adopt: true, managed_by: 'iotEdge' },
  });
});

test('are registered after the device is provisioned, where nobody has', async () => {
  const { identities, asked, methods } = identitiesWith({
    failures: { GetModuleIdentity: ['NotProvisioned'], CreateModuleIdentity: ['NotProvisioned'] },
  });
  await identities.ensure(id, via);
  assert.is(methods(), 'GetModuleIdentity CreateModuleIdentity Provision CreateModuleIdentity');
  assert.equal(asked[2]?.[1], { timeoutMs: 300_000 });
});

test('are not registered for want of anything else', async () => {
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

test('are of no use without a generation', async () => {
  const { identities } = identitiesWith({ generation: '' });
  assert.is(await failureOf(identities.get(id, via)), 'Unavailable');
});

test('are given up with what another one has made, and asked for anew', async () => {
  const { identities, asked, methods } = identitiesWith();
  await identities.get(id, via);
  await identities.erase(id, via);
  await identities.get(id, via);
  assert.equal(asked[1]?.[1], { module_id: 'sensor', options: { adopt: true } });
  assert.is(methods(), 'GetModuleIdentity DeleteModuleIdentity GetModuleIdentity');
  const absent = identitiesWith({ failures: { DeleteModuleIdentity: ['NotFound'] } });
  assert.is(await failureOf(absent.identities.erase(id, via)), 'no failure');
  const away = identitiesWith({ failures: { DeleteModuleIdentity: ['Unavailable'] } });
  assert.is(await failureOf(away.identities.erase(id, via)), 'Unavailable');
});

test.run();
