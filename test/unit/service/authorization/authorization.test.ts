import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { AuthorizationRequest } from '../../../../src/dbus/server/authorization-gate.ts';
import type { CallContext } from '../../../../src/dbus/server/call.ts';
import { ServiceError } from '../../../../src/errors.ts';
import { AclBackend } from '../../../../src/service/authorization/acl-backend.ts';
import type { AuthorizationBackend } from '../../../../src/service/authorization/authorization-backend.ts';
import { Authorization, RuleSet } from '../../../../src/service/authorization/rules.ts';

const test = suite('authorization');

const request: AuthorizationRequest = {
  action: 'org.iotedge.keys1.sign',
  details: { key_id: 'k' },
};
const accounts = {
  uid: (name: string) => Promise.resolve(name === 'iotedge-identity' ? 996 : undefined),
  gid: () => Promise.resolve(undefined),
};

function callOf(uid: number): CallContext {
  return {
    caller: { sender: ':1.1', uid, gids: [], pid: undefined },
    member: 'Sign',
    requestId: 'r',
    interactive: false,
    signal: new AbortController().signal,
    cancellation: new AbortController().signal,
    startedAt: 0,
  };
}

/** Records the requests, and refuses them. */
class Refusing implements AuthorizationBackend {
  readonly requested: number[] = [];

  decide(_question: AuthorizationRequest, call: CallContext): Promise<void> {
    this.requested.push(call.caller.uid);
    return Promise.reject(new ServiceError('AccessDenied', 'no'));
  }
}

/** `at once`, or the outcome of the promise of a decision. */
async function outcome(
  authorization: Authorization,
  uid: number,
  requested = request,
): Promise<string> {
  const decision = authorization.authorize(requested, callOf(uid));
  if (decision === undefined) return 'at once';
  return decision.then(
    () => 'allowed',
    (error: ServiceError) => error.code,
  );
}

test('allows root, the user of the service and a granted service without calling the backend', async () => {
  const backend = new Refusing();
  const grant = { user: 'iotedge-identity', actions: [request.action], match: { key_id: 'k' } };
  const granted = await RuleSet.fromGrants([], [grant], accounts);
  const authorization = new Authorization(granted, backend, 991);
  assert.is(await outcome(authorization, 0), 'at once');
  assert.is(await outcome(authorization, 991), 'at once');
  assert.is(await outcome(authorization, 996), 'at once');
  assert.equal(backend.requested, []);
  const other = { ...request, details: { key_id: 'other' } };
  assert.is(await outcome(authorization, 996, other), 'AccessDenied');
  for (const uid of [1, 99, 990, 992, 1000]) {
    assert.is(await outcome(authorization, uid), 'AccessDenied', String(uid));
  }
  assert.equal(backend.requested, [996, 1, 99, 990, 992, 1000]);
});

test('treats the user of this process as the user of the service', async () => {
  const { getuid } = process;
  assert.ok(getuid);
  process.getuid = () => 4711;
  try {
    const authorization = new Authorization(new RuleSet(), new Refusing());
    assert.is(await outcome(authorization, 4711), 'at once');
    assert.is(await outcome(authorization, 4712), 'AccessDenied');
  } finally {
    process.getuid = getuid;
  }
});

test('by rules refuses what none of them covers', async () => {
  const backend = new AclBackend(
    await RuleSet.fromAcl([{ user: 'iotedge-identity', actions: ['*.sign'] }], accounts),
  );
  assert.is(backend.decide(request, callOf(996)), undefined);
  assert.throws(
    () => backend.decide(request, callOf(997)),
    (error: ServiceError) =>
      error.code === 'AccessDenied' &&
      error.message.includes('no rule allows org.iotedge.keys1.sign'),
  );
});

test.run();
