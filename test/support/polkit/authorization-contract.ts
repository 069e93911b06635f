import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type {
  AuthorizationRequest,
  Authorizer,
} from '../../../src/dbus/server/authorization-gate.ts';
import type { CallContext } from '../../../src/dbus/server/call.ts';
import type { Caller } from '../../../src/dbus/server/caller.ts';
import type { AclRule } from '../../../src/service/config/common-config.ts';
import { type AuthorizedCall, differing, nameOf } from '../authorized/call.ts';
import { authorizedCalls } from '../authorized/calls.ts';
import { codeIn } from '../failure.ts';
import type { Identity } from '../identity/identity.ts';
import { authorizationRequests } from './authorization-requests.ts';

/** A backend that decides by rules, and connections of the callers. */
export interface AuthorizationRig extends AsyncDisposable {
  readonly authorizer: Authorizer;
  caller(identity: Identity): Promise<Caller>;
}

const daemon: Identity = { uid: 1, gid: 1 };
const bin: Identity = { uid: 2, gid: 2 };
const games: Identity = { uid: 5, gid: 60 };
const man: Identity = { uid: 6, gid: 12 };
const root: Identity = { uid: 0, gid: 0 };

/** The rules of the matrix. */
export const contractRules: readonly AclRule[] = [
  { user: 'daemon', actions: ['org.iotedge.keys1.sign'], match: { key_id: 'device-*' } },
  { user: 'daemon', actions: ['org.iotedge.keys1.verify'] },
  {
    user: 'daemon',
    actions: ['org.iotedge.keys1.sign'],
    match: { key_id: 'base', derivation: 'module-?' },
  },
  { group: 'games', actions: ['org.iotedge.keys1.*'], match: { key_id: 'shared' } },
  { user: 'bin', actions: ['org.iotedge.modules1.run'], match: { module: '*' } },
  { user: 'bin', actions: ['org.iotedge.keys1.create'], match: { key_id: 'iotedge/mine/*' } },
  { user: 'bin', actions: ['org.iotedge.keys1.delete'], match: { key_id: '*' } },
  { user: 'bin', actions: ['org.iotedge.certificates1.*'] },
  { user: 'bin', actions: ['org.iotedge.modules1.control'], match: { image: '*' } },
  { user: 'bin', actions: ['org.iotedge.identity1.manage'] },
  ...rulesForCalls('man'),
];

/** Rules that allow a user every call of `authorizedCalls`, with exactly these details. */
export function rulesForCalls(user: string): readonly AclRule[] {
  return authorizedCalls.flatMap(({ requests }) =>
    requests.map(({ action, details }) => ({ user, actions: [action], match: details })),
  );
}

const sign = (key_id: string, derivation = ''): AuthorizationRequest => ({
  action: 'org.iotedge.keys1.sign',
  details: { key_id, mechanism: 'ed25519', derivation },
});
const run = (elevated: string): AuthorizationRequest => ({
  action: 'org.iotedge.modules1.run',
  details: { module: 'web', type: 'docker', image: 'web:1', elevated },
});

const key = (verb: string, key_id: string): AuthorizationRequest => ({
  action: `org.iotedge.keys1.${verb}`,
  details: { key_id },
});
const issue = (certificate_id: string, profile = 'client'): AuthorizationRequest => ({
  action: 'org.iotedge.certificates1.issue',
  details: { certificate_id, issuer: 'device-ca', profile },
});
const manage = (adopt: string): AuthorizationRequest => ({
  action: 'org.iotedge.identity1.manage',
  details: { module_id: 'web', adopt },
});

const matrix: readonly (readonly [string, Identity, AuthorizationRequest, boolean])[] = [
  ['a key that a glob covers', daemon, sign('device-id'), true],
  ['a rotated name of such a key', daemon, sign('device-id@3'), true],
  ['a key that no glob covers', daemon, sign('other'), false],
  ['a key of the services', daemon, sign('iotedge/workload-ca'), false],
  ['a derived key that the rule does not name', daemon, sign('device-id', 'module-a'), false],
  ['a derived key that the rule names', daemon, sign('base', 'module-a'), true],
  ['another derived key', daemon, sign('base', 'module-ab'), false],
  ['the base key itself', daemon, sign('base'), false],
  ['another action', daemon, { ...sign('device-id'), action: 'org.iotedge.keys1.export' }, false],
  [
    'any key by a rule without match',
    daemon,
    { ...sign('x'), action: 'org.iotedge.keys1.verify' },
    true,
  ],
  [
    'a key of the services by a rule without match',
    daemon,
    { ...sign('iotedge/certificate/x'), action: 'org.iotedge.keys1.verify' },
    false,
  ],
  [
    'a rotated key of the services by a rule without match',
    daemon,
    { ...sign('iotedge/certificate/x@2'), action: 'org.iotedge.keys1.verify' },
    false,
  ],
  ['a key of the services by a glob that names them', bin, key('create', 'iotedge/mine/a@3'), true],
  ['another key of the services by that glob', bin, key('create', 'iotedge/other'), false],
  ['a key of the services by a glob for all', bin, key('delete', 'iotedge/x'), false],
  ['a key whose id only resembles a reserved one', bin, key('delete', 'iotedge-x'), true],
  ['a certificate by a rule without match', bin, issue('web'), true],
  ['a certificate of the services by such a rule', bin, issue('iotedge/workload-ca'), false],
  ['a CA by such a rule', bin, issue('web', 'workload-ca'), false],
  [
    'an image whose name has the prefix of the reserved ids',
    bin,
    {
      action: 'org.iotedge.modules1.control',
      details: { module: 'web', image: 'iotedge/agent:1', elevated: 'false' },
    },
    true,
  ],
  ['an own identity', bin, manage('false'), true],
  ['an adopted identity by a rule that does not name adopt', bin, manage('true'), false],
  ['a key by group', games, sign('shared'), true],
  [
    'a key by group with another action',
    games,
    { ...sign('shared'), action: 'org.iotedge.keys1.delete' },
    true,
  ],
  ['another key by group', games, sign('device-id'), false],
  ['a key by the rule of another user', bin, sign('device-id'), false],
  ['a harmless module', bin, run('false'), true],
  ['an elevated module', bin, run('true'), false],
  ['everything to root', root, sign('whatever', 'x'), true],
  ['an elevated module to root', root, run('true'), true],
];

/** Every backend decides this matrix in the same way. */
export function authorizationContract(name: string, open: () => Promise<AuthorizationRig>): void {
  const test = suite<{ rig: AuthorizationRig }>(`authorization by ${name}`);
  test.before(async (context) => {
    context.rig = await open();
  });
  test.after(async ({ rig }) => {
    await rig[Symbol.asyncDispose]();
  });
  for (const [what, identity, question, allowed] of matrix) {
    test(`${allowed ? 'allows' : 'denies'} ${what}`, async ({ rig }) => {
      const caller = await rig.caller(identity);
      const verdict = await verdictOf(rig.authorizer, question, callBy(caller));
      assert.is(verdict, allowed ? 'allowed' : 'AccessDenied');
      assert.is(await verdictOf(rig.authorizer, question, callBy(caller)), verdict);
    });
  }
  for (const call of authorizedCalls) {
    test(`allows ${nameOf(call)} by a rule with all of its details, and only by that`, async ({
      rig,
    }) => {
      const caller = await rig.caller(man);
      const verdict = (question: AuthorizationRequest): Promise<string> =>
        verdictOf(rig.authorizer, question, callBy(caller));
      const wrong: string[] = [];
      for (const { what, question, allowed } of variantsOf(call)) {
        const found = await verdict(question);
        if (found !== (allowed ? 'allowed' : 'AccessDenied'))
          wrong.push(`${what} of ${question.action} is ${found}`);
      }
      assert.equal(wrong, []);
    });
  }
  test.run();
}

interface Variant {
  readonly what: string;
  readonly question: AuthorizationRequest;
  readonly allowed: boolean;
}

/** The requests of the tables for a call, also with each detail changed, and with each removed. */
function variantsOf({
  service,
  method,
  use,
  requests,
  others,
}: AuthorizedCall): readonly Variant[] {
  const about = (one: typeof use): readonly AuthorizationRequest[] =>
    authorizationRequests(service, method, one);
  const exact = about(use).map((question) => ({ what: 'the call', question, allowed: true }));
  const other = others.flatMap(([detail, value, difference]) =>
    about(differing(use, difference))
      .filter((_, at) => Object.hasOwn(requests[at]?.details ?? {}, detail))
      .map((question) => ({ what: `${detail} "${value}"`, question, allowed: false })),
  );
  const missing = about(use).flatMap(({ action, details }) =>
    Object.keys(details).map((detail) => ({
      what: `no ${detail}`,
      question: {
        action,
        details: Object.fromEntries(Object.entries(details).filter(([name]) => name !== detail)),
      },
      allowed: false,
    })),
  );
  return [...exact, ...other, ...missing];
}

/** `allowed`, or the code of the refusal. */
export async function verdictOf(
  authorizer: Authorizer,
  question: AuthorizationRequest,
  call: CallContext,
): Promise<string> {
  try {
    await authorizer.authorize(question, call);
    return 'allowed';
  } catch (error) {
    return codeIn(error);
  }
}

export function callBy(
  caller: Caller,
  { interactive = false, abort = new AbortController() } = {},
): CallContext {
  const { signal } = abort;
  return {
    caller,
    member: 'Sign',
    requestId: 'r',
    interactive,
    signal,
    cancellation: signal,
    startedAt: performance.now(),
  };
}
