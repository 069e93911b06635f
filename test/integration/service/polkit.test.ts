import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus } from '../../../src/dbus/bus.ts';
import type { AuthorizationRequest } from '../../../src/dbus/server/authorization-gate.ts';
import { Callers } from '../../../src/dbus/server/caller.ts';
import { Message, messageType } from '../../../src/dbus/wire/message.ts';
import { variant } from '../../../src/dbus/wire/variant.ts';
import { PolkitBackend } from '../../../src/service/authorization/polkit-backend.ts';
import { BusPolkitClient } from '../../../src/service/authorization/polkit-client.ts';
import { Authorization, RuleSet } from '../../../src/service/authorization/rules.ts';
import { Cleanup } from '../../../src/service/cleanup.ts';
import { connectAs } from '../../support/clients/connect-as.ts';
import { deadline, until } from '../../support/deadline.ts';
import { callBy, verdictOf } from '../../support/polkit/authorization-contract.ts';
import { PrivatePolkit } from '../../support/polkit/polkit.ts';
import { PrivateBus } from '../../support/rig/private-bus.ts';

interface Context {
  cleanup: Cleanup;
  address: string;
  bus: Bus;
  callers: Callers;
  polkit: PrivatePolkit;
  authorizer: Authorization;
  /** A connection of uid 1. */
  client: Bus;
}

const test = suite<Context>('polkit');

const sign: AuthorizationRequest = {
  action: 'org.iotedge.keys1.sign',
  details: { key_id: 'device-id', mechanism: 'ed25519', derivation: '' },
};
const daemon = { uid: 1, gid: 1 };
const authority = {
  destination: 'org.freedesktop.PolicyKit1',
  path: '/org/freedesktop/PolicyKit1/Authority',
  interface: 'org.freedesktop.PolicyKit1.Authority',
};

function always(result: 'YES' | 'NO' | 'AUTH_ADMIN' | 'AUTH_SELF'): string {
  return `polkit.addRule(function () { return polkit.Result.${result}; });`;
}

test.before.each(async (context) => {
  const cleanup = new Cleanup();
  const privateBus = cleanup.use(await PrivateBus.start());
  const bus = cleanup.use(await privateBus.connect());
  const callers = await Callers.start(bus);
  const polkit = cleanup.use(await PrivatePolkit.start(bus, privateBus.address, always('YES')));
  const lifetimes = { yesMs: 10_000, noMs: 1000 };
  const backend = new PolkitBackend({ client: new BusPolkitClient(bus), lifetimes });
  callers.onVanish(({ sender }) => backend.evict(sender));
  const authorizer = new Authorization(new RuleSet(), backend, 0);
  const client = cleanup.use(await connectAs(privateBus.address, daemon));
  Object.assign(context, {
    cleanup,
    address: privateBus.address,
    bus,
    callers,
    polkit,
    authorizer,
    client,
  });
});
test.after.each(async ({ cleanup }) => {
  await cleanup[Symbol.asyncDispose]();
});

async function decide(
  { authorizer, callers }: Context,
  sender: string,
  options: Parameters<typeof callBy>[1] = {},
): Promise<string> {
  const caller = await callers.get(sender);
  return deadline(30_000, verdictOf(authorizer, sign, callBy(caller, options)), 'a decision');
}

test('decides from the cache the second time, and asks polkit again when the rules change', async (context) => {
  const { authorizer, callers, client, polkit } = context;
  assert.is(await decide(context, client.uniqueName), 'allowed');
  const caller = await callers.get(client.uniqueName);
  assert.is(authorizer.authorize(sign, callBy(caller)), undefined);
  await polkit.setRules(always('NO'));
  assert.is(await decide(context, client.uniqueName), 'AccessDenied');
  await polkit.setRules(always('YES'));
  assert.is(await decide(context, client.uniqueName), 'allowed');
});

test('accepts Changed only from polkit', async (context) => {
  const { authorizer, bus, callers, client } = context;
  assert.is(await decide(context, client.uniqueName), 'allowed');
  const { path, interface: interfaceName } = authority;
  const destination = bus.uniqueName;
  const type = messageType.signal;
  client.send(
    new Message({ type, destination, path, interface: interfaceName, member: 'Changed' }),
  );
  await client.call({
    destination: 'org.freedesktop.DBus',
    path: '/',
    interface: 'org.freedesktop.DBus',
    member: 'GetId',
  });
  await bus.callDriver('GetId', '', []);
  const caller = await callers.get(client.uniqueName);
  assert.is(authorizer.authorize(sign, callBy(caller)), undefined);
});

test('denies while polkit is stopped, and asks the next one', async (context) => {
  const { client, polkit } = context;
  assert.is(await decide(context, client.uniqueName), 'allowed');
  await polkit.stop();
  assert.is(await decide(context, client.uniqueName), 'AccessDenied');
  await polkit.run();
  assert.is(await decide(context, client.uniqueName), 'allowed');
});

test('denies when polkit stops during a request', async (context) => {
  const { client, polkit } = context;
  polkit.signal('SIGSTOP');
  const pending = decide(context, client.uniqueName);
  await new Promise((resolve) => setTimeout(resolve, 100));
  await polkit.stop();
  assert.is(await pending, 'AccessDenied');
});

test('denies an action that polkit does not know', async (context) => {
  const { client, polkit } = context;
  await polkit.removeActions('keys');
  await polkit.setRules(always('YES'));
  assert.is(await decide(context, client.uniqueName), 'AccessDenied');
});

test('denies a caller that has disconnected', async (context) => {
  const { callers, client, authorizer } = context;
  const caller = await callers.get(client.uniqueName);
  await client.close();
  assert.is(await verdictOf(authorizer, sign, callBy(caller)), 'AccessDenied');
});

test('fails with InteractiveAuthorizationRequired for a challenge, and AccessDenied without an agent', async (context) => {
  const { client, polkit } = context;
  await polkit.setRules(always('AUTH_ADMIN'));
  assert.is(await decide(context, client.uniqueName), 'InteractiveAuthorizationRequired');
  assert.is(await decide(context, client.uniqueName, { interactive: true }), 'AccessDenied');
});

/** A process of uid 1 with an authentication agent. */
class Agent implements AsyncDisposable {
  readonly begun: string[] = [];
  readonly cancelled: string[] = [];
  name = '';
  readonly #bus: Bus;
  readonly #child: ChildProcess;

  constructor(bus: Bus, address: string) {
    this.#bus = bus;
    const program = join(import.meta.dirname, '../../support/polkit/polkit-agent.js');
    // it changes its user itself: the path of the program may be closed to that user
    this.#child = spawn(process.execPath, [program, String(daemon.uid), String(daemon.gid)], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, DBUS_SYSTEM_BUS_ADDRESS: address },
    });
    createInterface({ input: this.#child.stdout ?? process.stdin }).on('line', (line) => {
      const [word, text = ''] = line.split(' ');
      if (word === 'name') this.name = text;
      else (word === 'begun' ? this.begun : this.cancelled).push(text);
    });
  }

  /** Confirms the newest authentication. */
  async agree(): Promise<void> {
    const member = 'AuthenticationAgentResponse2';
    const identity = ['unix-user', { uid: variant('u', daemon.uid) }];
    const body = [daemon.uid, this.begun.at(-1), identity];
    await this.#bus.call({ ...authority, member, signature: 'us(sa{sv})', body });
    this.#child.stdin?.write('done\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exit = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await deadline(5000, exit, 'the agent to end');
  }
}

async function startAgent({ bus, address, cleanup }: Context): Promise<Agent> {
  const agent = cleanup.use(new Agent(bus, address));
  await until(20_000, 'the agent to start', () => agent.name !== '');
  return agent;
}

test('asks the user every time, and only for calls that allow interaction', async (context) => {
  await context.polkit.setRules(always('AUTH_SELF'));
  const agent = await startAgent(context);
  for (const turn of [1, 2]) {
    assert.is(await decide(context, agent.name), 'InteractiveAuthorizationRequired');
    const pending = decide(context, agent.name, { interactive: true });
    await until(10_000, 'a request to the agent', () => agent.begun.length === turn);
    await agent.agree();
    assert.is(await pending, 'allowed');
  }
  assert.equal(agent.cancelled, []);
});

test('cancels the authentication when the caller disconnects', async (context) => {
  await context.polkit.setRules(always('AUTH_SELF'));
  const agent = await startAgent(context);
  const abort = new AbortController();
  const pending = decide(context, agent.name, { interactive: true, abort });
  await until(10_000, 'a request to the agent', () => agent.begun.length === 1);
  abort.abort();
  assert.is(await pending, 'Cancelled');
  await until(10_000, 'the cancellation at the agent', () => agent.cancelled.length === 1);
});

test('replies to a hundred callers with many requests within the deadline', async (context) => {
  const { address, authorizer, callers, cleanup } = context;
  const decisions: Promise<string>[] = [];
  for (const uid of [1, 2, 5, 7]) {
    const client = cleanup.use(await connectAs(address, { uid, gid: uid }));
    const caller = await callers.get(client.uniqueName);
    for (let key = 0; key < 25; key++) {
      const request = { ...sign, details: { ...sign.details, key_id: `k${key}` } };
      decisions.push(verdictOf(authorizer, request, callBy(caller)));
    }
  }
  const verdicts = await deadline(60_000, Promise.all(decisions), 'a hundred decisions');
  assert.ok(verdicts.every((verdict) => verdict === 'allowed'));
});

test.run();
