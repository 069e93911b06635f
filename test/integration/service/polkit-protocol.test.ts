/** The requests to polkit, and the handling of its replies, restarts and changes. */
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus } from '../../../src/dbus/bus.ts';
import type { AuthorizationRequest } from '../../../src/dbus/server/authorization-gate.ts';
import { type Caller, Callers } from '../../../src/dbus/server/caller.ts';
import { Message, messageFlag, messageType } from '../../../src/dbus/wire/message.ts';
import { keysService } from '../../../src/interfaces/keys.ts';
import type { Accounts } from '../../../src/service/accounts.ts';
import { Authorizations } from '../../../src/service/authorization/authorization.ts';
import {
  BusPolkitClient,
  type PolkitResult,
} from '../../../src/service/authorization/polkit-client.ts';
import { type Authorization } from '../../../src/service/authorization/rules.ts';
import { Cleanup } from '../../../src/service/cleanup.ts';
import type { AclRule, CommonConfig } from '../../../src/service/config/common-config.ts';
import { connectAs } from '../../support/clients/connect-as.ts';
import { deadline, until } from '../../support/deadline.ts';
import { callBy, verdictOf } from '../../support/polkit/authorization-contract.ts';
import { polkitName, ScriptedPolkit } from '../../support/polkit/scripted-polkit.ts';
import { PrivateBus } from '../../support/rig/private-bus.ts';

interface Context {
  cleanup: Cleanup;
  privateBus: PrivateBus;
  bus: Bus;
  polkit: ScriptedPolkit;
  authority: BusPolkitClient;
}

const test = suite<Context>('the protocol of polkit');

test.before.each(async (context) => {
  const cleanup = new Cleanup();
  const privateBus = cleanup.use(await PrivateBus.start());
  const bus = cleanup.use(await privateBus.connect());
  const polkit = new ScriptedPolkit(cleanup.use(await privateBus.connect()));
  await polkit.begin();
  const authority = new BusPolkitClient(bus);
  Object.assign(context, { cleanup, privateBus, bus, polkit, authority });
});
test.after.each(({ cleanup }) => cleanup[Symbol.asyncDispose]());

const sign: AuthorizationRequest = {
  action: 'org.iotedge.keys1.sign',
  details: { key_id: 'k', derivation: '' },
};

function check(
  { authority }: Context,
  { interactive = false, timeoutMs = 20_000, abort = new AbortController() } = {},
): Promise<PolkitResult> {
  const options = { interactive, timeoutMs, signal: abort.signal };
  return deadline(10_000, authority.check(sign, ':1.77', options), 'a reply of polkit');
}

const failure = (answer: Promise<unknown>): Promise<string> =>
  answer.then(
    (value) => `answered ${String(value)}`,
    (error: unknown) => String(error),
  );

test('names the connection of the caller, and allows interaction only when the call does', async (context) => {
  const { polkit } = context;
  for (const interactive of [false, true, true]) await check(context, { interactive });
  const [plain, first, second] = polkit.questions.map(({ body }) => body);
  assert.ok(plain);
  const [subject, action, details, ...flags] = plain;
  assert.equal([action, ...flags], [sign.action, 0, '']);
  assert.equal({ ...(details as object) }, sign.details); // a{ss}
  const [kind, who] = subject as [string, Readonly<Record<string, { value: unknown }>>]; // (sa{sv})
  assert.is(kind, 'system-bus-name');
  assert.equal(
    Object.entries(who).map(([name, { value }]) => [name, value]),
    [['name', ':1.77']],
  );
  assert.equal([first?.[3], second?.[3]], [1, 1]);
  const ids = [first?.[4], second?.[4]];
  assert.ok(ids.every((id) => id !== ''));
  assert.is(new Set(ids).size, 2);
});

test('interprets yes, no, a challenge and a temporary yes', async (context) => {
  const answers: readonly (readonly [PolkitResult, unknown])[] = [
    ['yes', [true, false, {}]],
    ['yes', [true, false, { 'polkit.retains_authorization_after_challenge': '1' }]],
    ['no', [false, false, {}]],
    ['no', [false, false, { 'polkit.dismissed': 'true' }]],
    ['challenge', [false, true, {}]],
    ['yes-once', [true, false, { 'polkit.temporary_authorization_id': 'tmpauthz1' }]],
  ];
  for (const [expected, result] of answers) {
    context.polkit.onCall = ({ reply }) => reply('(bba{ss})', result);
    assert.is(await check(context), expected, JSON.stringify(result));
  }
});

test('refuses every other reply', async (context) => {
  const odd: readonly (readonly [string, ...unknown[]])[] = [
    ['(bba{ss})', [true, true, {}]],
    ['(sba{ss})', ['yes', false, {}]],
    ['(bsa{ss})', [true, '', {}]],
    ['(bbs)', [true, false, '']],
    ['b', true],
    [''],
  ];
  for (const [signature, ...body] of odd) {
    context.polkit.onCall = ({ reply }) => reply(signature, ...body);
    assert.match(await failure(check(context)), 'the result of polkit', signature);
  }
});

test('sends one request when polkit fails, and does not cancel a failed one', async (context) => {
  const { polkit } = context;
  polkit.onCall = ({ fail }) => fail(`${polkitName}.Error.Failed`);
  assert.match(await failure(check(context, { interactive: true })), /^(?!answered)/);
  await polkit.bus.callDriver('GetId', '', []);
  assert.equal(
    polkit.calls.map(({ member }) => member),
    ['CheckAuthorization'],
  );
});

/** Another polkit replaces the first. */
async function replace({ cleanup, privateBus, polkit }: Context): Promise<ScriptedPolkit> {
  const next = new ScriptedPolkit(cleanup.use(await privateBus.connect()));
  await polkit.bus.releaseName(polkitName);
  await next.begin();
  return next;
}

test('retries with the next polkit when one ends without a reply', async (context) => {
  const { polkit } = context;
  polkit.onCall = () => undefined;
  const answer = failure(check(context));
  await until(10_000, 'the request', () => polkit.questions.length === 1);
  const next = await replace(context);
  await polkit.bus.close();
  assert.is(await answer, 'answered yes');
  assert.is(next.questions.length, 1);
});

test('retries with the next polkit when one fails while it is replaced', async (context) => {
  const { authority, bus, polkit } = context;
  let changes = 0;
  await authority.watch(() => changes++);
  polkit.onCall = () => undefined;
  const answer = failure(check(context));
  await until(10_000, 'the request', () => polkit.questions.length === 1);
  const next = await replace(context);
  await until(10_000, 'both changes of the owner', () => changes === 2);
  polkit.questions[0]?.fail(`${polkitName}.Error.Failed`);
  assert.is(await answer, 'answered yes');
  assert.is(next.questions.length, 1);
  await bus.callDriver('GetId', '', []);
});

test('does not retry for a caller that has disconnected', async (context) => {
  const { polkit } = context;
  polkit.onCall = () => undefined;
  const abort = new AbortController();
  await context.authority.watch(() => undefined);
  const answer = failure(check(context, { abort }));
  await until(10_000, 'the request', () => polkit.questions.length === 1);
  const next = await replace(context);
  abort.abort();
  assert.match(await answer, 'abandoned');
  await next.bus.callDriver('GetId', '', []);
  assert.is(next.questions.length, 0);
});

test('cancels an interactive request, by its id and without starting polkit for it', async (context) => {
  const { polkit } = context;
  polkit.onCall = () => undefined;
  for (const interactive of [false, true]) {
    const answer = failure(check(context, { interactive, timeoutMs: 100 }));
    assert.match(await answer, /^(?!answered)/);
  }
  await until(10_000, 'the cancellation', () => polkit.calls.length >= 3);
  const cancelled = polkit.calls.filter(({ member }) => member === 'CancelCheckAuthorization');
  assert.equal(
    cancelled.map(({ body }) => body),
    [[polkit.questions[1]?.body[4]]],
  );
  assert.ok((cancelled[0]?.flags ?? 0) & messageFlag.noAutoStart);
});

test('accepts changes from polkit and the bus only', async (context) => {
  const { authority, bus, cleanup, polkit, privateBus } = context;
  let changes = 0;
  await authority.watch(() => changes++);
  const path = '/org/freedesktop/PolicyKit1/Authority';
  const changed = {
    type: messageType.signal,
    path,
    interface: `${polkitName}.Authority`,
    member: 'Changed',
  };
  const driver = 'org.freedesktop.DBus';
  const owner = {
    type: messageType.signal,
    path: '/org/freedesktop/DBus',
    interface: driver,
    member: 'NameOwnerChanged',
  };
  const stranger = cleanup.use(await privateBus.connect());
  const { uniqueName: destination } = bus;
  stranger.send(new Message({ ...changed, destination }));
  stranger.send(
    new Message({ ...owner, destination, signature: 'sss', body: [polkitName, ':1.1', ''] }),
  );
  await stranger.requestName('org.iotedge.Stranger1');
  await stranger.close();
  const probe = cleanup.use(await privateBus.connect());
  await probe.callDriver('GetId', '', []);
  await bus.callDriver('GetId', '', []);
  assert.is(changes, 0);
  polkit.bus.send(new Message(changed));
  await until(10_000, 'Changed', () => changes === 1);
  await polkit.bus.releaseName(polkitName);
  await until(10_000, 'the end of polkit', () => changes === 2);
});

/** The accounts that rules are resolved with, and those of the services' users. */
const accountsOf = (user: string): Accounts => ({
  uid: (name) => Promise.resolve(name === user ? 1 : undefined),
  gid: () => Promise.resolve(undefined),
});

function configOf(
  cache_s: number,
  backend: 'polkit' | 'acl' = 'polkit',
  acl: readonly AclRule[] = [],
): Pick<CommonConfig, 'authorization' | 'grants'> {
  return {
    authorization: { backend, cache_s, acl },
    grants: [{ user: 'iotedge-identity', actions: [sign.action], match: { key_id: 'granted' } }],
  };
}

interface Asking {
  readonly caller: Caller;
  readonly client: Bus;
  /** Applies a configuration. */
  readonly renew: (config: ReturnType<typeof configOf>, local?: Accounts) => Promise<Authorization>;
}

async function asking({ bus, cleanup, privateBus }: Context): Promise<Asking> {
  const callers = await Callers.start(bus);
  const authorizations = new Authorizations({ bus, callers, service: keysService });
  const client = cleanup.use(await connectAs(privateBus.address, { uid: 1, gid: 1 }));
  const renew: Asking['renew'] = async (config, local = accountsOf('nobody-here')) =>
    (await authorizations.prepare(config, { accounts: accountsOf('ann'), local }))();
  return { caller: await callers.get(client.uniqueName), client, renew };
}

test('caches a positive verdict for the configured time, a negative one for a second, and none over a reload', async (context) => {
  const { polkit } = context;
  const { caller, renew } = await asking(context);
  const count = async (authorization: Authorization): Promise<number> => {
    const before = polkit.questions.length;
    await deadline(10_000, verdictOf(authorization, sign, callBy(caller)), 'a decision');
    return polkit.questions.length - before;
  };
  let authorization = await renew(configOf(10));
  assert.equal([await count(authorization), await count(authorization)], [1, 0]);
  await sleep(50);
  assert.is(await count(authorization), 0);
  authorization = await renew(configOf(10));
  assert.is(await count(authorization), 1, 'after a reload');
  authorization = await renew(configOf(0));
  assert.equal([await count(authorization), await count(authorization)], [1, 1]);
  polkit.onCall = ({ reply }) => reply('(bba{ss})', [false, false, {}]);
  assert.equal([await count(authorization), await count(authorization)], [1, 1]);
  authorization = await renew(configOf(300));
  assert.equal([await count(authorization), await count(authorization)], [1, 0]);
  await sleep(1100);
  assert.is(await count(authorization), 1, 'a second later');
});

test('evicts the verdicts of a connection that has disconnected', async (context) => {
  const { caller, client, renew } = await asking(context);
  const authorization = await renew(configOf(300));
  assert.is(await verdictOf(authorization, sign, callBy(caller)), 'allowed');
  assert.is(authorization.authorize(sign, callBy(caller)), undefined);
  await client.close();
  await until(10_000, 'the verdict to go', async () => {
    const decision = authorization.authorize(sign, callBy(caller));
    await decision;
    return decision !== undefined;
  });
});

test('sends no request for what a service is granted, by the table and by the configuration', async (context) => {
  const { polkit } = context;
  const { caller, renew } = await asking(context);
  const verdicts = async (authorization: Authorization): Promise<readonly string[]> => {
    const keys = ['device-id', 'granted', 'other'];
    return Promise.all(
      keys.map((key_id) =>
        verdictOf(authorization, { ...sign, details: { ...sign.details, key_id } }, callBy(caller)),
      ),
    );
  };
  polkit.onCall = ({ reply }) => reply('(bba{ss})', [false, false, {}]);
  const local = accountsOf('iotedge-identity');
  assert.equal(await verdicts(await renew(configOf(0), local)), [
    'allowed',
    'allowed',
    'AccessDenied',
  ]);
  assert.is(polkit.questions.length, 1);
  const none = ['AccessDenied', 'AccessDenied', 'AccessDenied'];
  assert.equal(
    await verdicts(await renew(configOf(0))),
    none,
    'of a user that the files do not contain',
  );
});

test('decides by the rules of the configuration, with the accounts of all sources', async (context) => {
  const { polkit } = context;
  const { caller, renew } = await asking(context);
  const rule = { actions: [sign.action], match: { key_id: 'k' } };
  const ann = await renew(configOf(10, 'acl', [{ user: 'ann', ...rule }]));
  assert.is(ann.authorize(sign, callBy(caller)), undefined);
  const bob = await renew(configOf(10, 'acl', [{ user: 'bob', ...rule }]), accountsOf('bob'));
  assert.is(await verdictOf(bob, sign, callBy(caller)), 'AccessDenied');
  assert.is(polkit.calls.length, 0);
});

test.run();
