import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { AuthorizationRequest } from '../../../../src/dbus/server/authorization-gate.ts';
import type { CallContext } from '../../../../src/dbus/server/call.ts';
import { isServiceError, ServiceError } from '../../../../src/errors.ts';
import { PolkitBackend } from '../../../../src/service/authorization/polkit-backend.ts';
import type {
  CheckOptions,
  PolkitClient,
  PolkitResult,
} from '../../../../src/service/authorization/polkit-client.ts';
import { deadline } from '../../../support/deadline.ts';
import { codeIn } from '../../../support/failure.ts';

const test = suite('polkit backend');

interface Check {
  readonly request: AuthorizationRequest;
  readonly sender: string;
  readonly options: CheckOptions;
  readonly respond: (response: PolkitResult | Error) => void;
}

/** A fake polkit: every request waits until the test responds. */
class Authority implements PolkitClient {
  readonly checks: Check[] = [];
  change: () => void = () => undefined;
  auto: PolkitResult | Error | undefined;
  inFlight = 0;
  mostInFlight = 0;

  watch(onChange: () => void): Promise<void> {
    this.change = onChange;
    return Promise.resolve();
  }

  check(
    request: AuthorizationRequest,
    sender: string,
    options: CheckOptions,
  ): Promise<PolkitResult> {
    this.mostInFlight = Math.max(this.mostInFlight, ++this.inFlight);
    return new Promise<PolkitResult>((resolve, reject) => {
      const respond = (value: PolkitResult | Error): void => {
        if (value instanceof Error) reject(value);
        else resolve(value);
      };
      options.signal.addEventListener('abort', () => reject(new ServiceError('Cancelled', 'gone')));
      this.checks.push({ request, sender, options, respond });
      if (this.auto !== undefined) respond(this.auto);
    }).finally(() => this.inFlight--);
  }
}

class Rig {
  now = 0;
  readonly authority = new Authority();
  readonly backend: PolkitBackend;

  constructor(yesMs = 10_000) {
    const lifetimes = { yesMs, noMs: Math.min(1000, yesMs) };
    this.backend = new PolkitBackend({
      client: this.authority,
      lifetimes,
      clock: () => this.now,
    });
  }

  /** `at once`, `allowed` after a request, or the code of the refusal. */
  async decide(call: CallContext, request = sign('a')): Promise<string> {
    try {
      const decision = this.backend.decide(request, call);
      if (decision === undefined) return 'at once';
      await deadline(20_000, decision, 'a decision');
      return 'allowed';
    } catch (error) {
      return codeIn(error);
    }
  }
}

function sign(key_id: string): AuthorizationRequest {
  return { action: 'org.iotedge.keys1.sign', details: { key_id, mechanism: 'ed25519' } };
}

function call(
  sender = ':1.1',
  { uid = 1000, interactive = false, abort = new AbortController() } = {},
): CallContext {
  const caller = { sender, uid, gids: [], pid: undefined };
  return {
    caller,
    member: 'Sign',
    requestId: 'r',
    interactive,
    signal: abort.signal,
    cancellation: abort.signal,
    startedAt: 0,
  };
}

async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

test('caches a positive verdict for ten seconds from the request', async () => {
  const rig = new Rig();
  const first = rig.decide(call());
  await settle();
  rig.now = 4000;
  rig.authority.checks[0]?.respond('yes');
  assert.is(await first, 'allowed');
  rig.now = 9999;
  assert.is(await rig.decide(call()), 'at once');
  rig.now = 10_000;
  rig.authority.auto = 'yes';
  assert.is(await rig.decide(call()), 'allowed');
});

test('caches a negative verdict for one second', async () => {
  const rig = new Rig();
  rig.authority.auto = 'no';
  assert.is(await rig.decide(call()), 'AccessDenied');
  rig.now = 999;
  assert.is(await rig.decide(call()), 'AccessDenied');
  assert.is(rig.authority.checks.length, 1);
  rig.now = 1000;
  rig.authority.auto = 'yes';
  assert.is(await rig.decide(call()), 'allowed');
});

test('caches nothing when the cache is disabled', async () => {
  const rig = new Rig(0);
  rig.authority.auto = 'yes';
  await rig.decide(call());
  assert.is(await rig.decide(call()), 'allowed');
  assert.is(rig.authority.checks.length, 2);
});

test('does not cache an interactive verdict, or one that polkit marks as temporary', async () => {
  const rig = new Rig();
  rig.authority.auto = 'yes-once';
  await rig.decide(call());
  assert.is(await rig.decide(call()), 'allowed');
});

test('sends a new request for another connection, another key, another action', async () => {
  const rig = new Rig();
  rig.authority.auto = 'yes';
  await rig.decide(call());
  assert.is(await rig.decide(call(':1.2')), 'allowed');
  assert.is(await rig.decide(call(), sign('b')), 'allowed');
  assert.is(
    await rig.decide(call(), { ...sign('a'), action: 'org.iotedge.keys1.verify' }),
    'allowed',
  );
});

test('evicts the verdicts of a connection that disconnected, and all of them on a change', async () => {
  const rig = new Rig();
  rig.authority.auto = 'yes';
  await rig.decide(call());
  await rig.decide(call(':1.2'));
  rig.backend.evict(':1.1');
  assert.is(await rig.decide(call()), 'allowed');
  assert.is(await rig.decide(call(':1.2')), 'at once');
  rig.authority.change();
  assert.is(await rig.decide(call(':1.2')), 'allowed');
});

test('does not cache a verdict that is older than a change', async () => {
  const rig = new Rig();
  const first = rig.decide(call());
  await settle();
  rig.authority.change();
  rig.authority.checks[0]?.respond('yes');
  assert.is(await first, 'allowed');
  rig.authority.auto = 'no';
  assert.is(await rig.decide(call()), 'AccessDenied');
});

test('sends one request for many calls with the same question', async () => {
  const rig = new Rig();
  const calls = Array.from({ length: 20 }, () => rig.decide(call()));
  await settle();
  assert.is(rig.authority.checks.length, 1);
  rig.authority.checks[0]?.respond('no');
  assert.equal(new Set(await Promise.all(calls)), new Set(['AccessDenied']));
});

test('has two pending requests of a uid and eight in all, round-robin by uid', async () => {
  const rig = new Rig();
  const pending: Promise<string>[] = [];
  for (const uid of [1, 2, 3, 4, 5, 6]) {
    for (let key = 0; key < 10; key++)
      pending.push(rig.decide(call(`:1.${uid}`, { uid }), sign(`k${key}`)));
  }
  await settle();
  const senders = (): string[] => rig.authority.checks.map(({ sender }) => sender);
  const expected = [1, 2, 3, 4].flatMap((uid) => [`:1.${uid}`, `:1.${uid}`]);
  assert.equal(senders().sort(), expected);
  for (let turn = 0; turn < 6; turn++) {
    rig.authority.checks[turn]?.respond('yes');
    await settle();
  }
  assert.equal(senders().slice(8), [':1.1', ':1.5', ':1.2', ':1.6', ':1.3', ':1.1']);
  rig.authority.auto = 'yes';
  for (const check of rig.authority.checks) check.respond('yes');
  await Promise.all(pending);
  assert.is(rig.authority.mostInFlight, 8);
  assert.is(rig.authority.checks.length, 60);
});

test('requires the flag of the caller for an interactive request', async () => {
  const rig = new Rig();
  rig.authority.auto = 'challenge';
  assert.is(await rig.decide(call()), 'InteractiveAuthorizationRequired');
  assert.equal(
    rig.authority.checks.map(({ options }) => [options.interactive, options.timeoutMs]),
    [[false, 20_000]],
  );
});

test('allows five minutes for an interactive request and uses its verdict once', async () => {
  const rig = new Rig();
  const first = rig.decide(call(':1.1', { interactive: true }));
  await settle();
  const plain = rig.authority.checks[0];
  assert.equal([plain?.options.interactive, plain?.options.timeoutMs], [false, 20_000]);
  plain?.respond('challenge');
  await settle();
  const prompt = rig.authority.checks[1];
  assert.equal([prompt?.options.interactive, prompt?.options.timeoutMs], [true, 300_000]);
  prompt?.respond('yes');
  assert.is(await first, 'allowed');
  rig.authority.auto = 'challenge';
  assert.is(await rig.decide(call(':1.1')), 'InteractiveAuthorizationRequired');
});

test('treats a challenge in an interactive request as a refusal', async () => {
  const rig = new Rig();
  rig.authority.auto = 'challenge';
  assert.is(await rig.decide(call(':1.1', { interactive: true })), 'AccessDenied');
});

test('sends no other request for a question that is pending interactively', async () => {
  const rig = new Rig();
  const first = rig.decide(call(':1.1', { interactive: true }));
  await settle();
  rig.authority.checks[0]?.respond('challenge');
  await settle();
  assert.is(await rig.decide(call(':1.1')), 'InteractiveAuthorizationRequired');
  assert.is(rig.authority.checks.length, 2);
  rig.authority.checks[1]?.respond('no');
  assert.is(await first, 'AccessDenied');
  rig.authority.auto = 'yes';
  assert.is(await rig.decide(call(':1.1')), 'allowed', 'the person has answered');
});

test('sends a new request after a change during an interactive request', async () => {
  const rig = new Rig();
  const first = rig.decide(call(':1.1', { interactive: true }));
  await settle();
  rig.authority.checks[0]?.respond('challenge');
  await settle();
  rig.authority.change();
  rig.authority.auto = 'yes';
  assert.is(await rig.decide(call(':1.1')), 'allowed');
  rig.authority.checks[1]?.respond('no');
  assert.is(await first, 'AccessDenied');
});

test('has four pending interactive requests, one of a uid, and sends the next when one ends', async () => {
  const rig = new Rig();
  rig.authority.auto = 'challenge';
  const calls = [1, 2, 3, 4, 5, 6].flatMap((uid) =>
    ['a', 'b'].map((key) => rig.decide(call(`:1.${uid}`, { uid, interactive: true }), sign(key))),
  );
  const prompts = (): Check[] => rig.authority.checks.filter(({ options }) => options.interactive);
  const check = rig.authority.check.bind(rig.authority);
  rig.authority.check = (request, sender, options) => {
    rig.authority.auto = options.interactive ? undefined : 'challenge';
    return check(request, sender, options);
  };
  const completed = new Set<Check>();
  for (let turn = 0; turn < 12; turn++) {
    await settle();
    const open = prompts().filter((prompt) => !completed.has(prompt));
    const senders = open.map(({ sender }) => sender);
    const left = [1, 2, 3, 4, 5, 6].filter((uid) => {
      const done = [...completed].filter(({ sender }) => sender === `:1.${uid}`);
      return done.length < 2;
    });
    assert.is(open.length, Math.min(4, left.length));
    assert.is(new Set(senders).size, senders.length, senders.join());
    const [next] = open;
    assert.ok(next);
    completed.add(next);
    next.respond('yes');
  }
  assert.equal(
    await Promise.all(calls),
    Array.from({ length: 12 }, () => 'allowed'),
  );
});

test('processes plain requests while interactive ones are pending', async () => {
  const rig = new Rig();
  const prompts = [1, 2, 3, 4, 5, 6, 7, 8, 9].map((uid) =>
    rig.decide(call(`:1.${uid}`, { uid, interactive: true })),
  );
  rig.authority.auto = 'challenge';
  await settle();
  rig.authority.auto = undefined;
  for (const { options, respond } of rig.authority.checks) {
    if (!options.interactive) respond('challenge');
  }
  await settle();
  rig.authority.auto = 'yes';
  assert.is(await rig.decide(call(':1.1', { uid: 1 }), sign('other')), 'allowed');
  for (const { respond } of rig.authority.checks) respond('no');
  await Promise.all(prompts);
});

test('cancels when the caller disconnects, queued or pending', async () => {
  const rig = new Rig();
  const abort = new AbortController();
  const keys = ['a', 'b', 'c'];
  const calls = keys.map((key) => rig.decide(call(':1.1', { abort }), sign(key)));
  await settle();
  assert.is(rig.authority.checks.length, 2);
  abort.abort();
  assert.equal(await Promise.all(calls), ['Cancelled', 'Cancelled', 'Cancelled']);
  rig.authority.auto = 'yes';
  assert.is(await rig.decide(call(':1.2')), 'allowed');
});

test('does not act on a positive verdict for a caller that disconnected meanwhile', async () => {
  const rig = new Rig();
  const abort = new AbortController();
  rig.authority.auto = 'yes';
  const decision = rig.decide(call(':1.1', { abort }));
  abort.abort();
  assert.is(await decision, 'Cancelled');
  assert.is(await rig.decide(call(':1.1')), 'allowed');
});

test('denies when polkit fails in any way, and sends a new request the next time', async () => {
  const rig = new Rig();
  const failures = [
    new ServiceError('Unavailable', 'not there'),
    new ServiceError('AccessDenied', 'the policy of the bus'),
    new ServiceError('InvalidArgs', 'odd'),
    new TypeError('odd'),
  ];
  for (const failure of failures) {
    rig.authority.auto = failure;
    assert.is(await rig.decide(call()), 'AccessDenied');
  }
  rig.authority.auto = 'yes';
  assert.is(await rig.decide(call()), 'allowed');
});

/** The refusal of a request. */
async function refusal(rig: Rig, request: AuthorizationRequest): Promise<ServiceError> {
  try {
    await rig.backend.decide(request, call());
  } catch (error) {
    assert.ok(isServiceError(error, 'AccessDenied'));
    return error;
  }
  throw new TypeError('it was allowed');
}

test('reports what is not allowed and why, and what failed', async () => {
  const rig = new Rig();
  rig.authority.auto = 'no';
  const details = { key_id: 'k', derivation: '', exportable: 'false', usages: 'u'.repeat(200) };
  const denied = await refusal(rig, { action: 'a.b', details });
  assert.is(denied.message, `a.b (key_id=k, usages=${'u'.repeat(160)}) is not allowed`);
  assert.is(denied.cause, undefined);
  const bare = { action: 'a.b', details: { adopt: 'false' } };
  assert.is((await refusal(rig, bare)).message, 'a.b is not allowed');
  const away = new ServiceError('Unavailable', 'not there');
  rig.authority.auto = away;
  const unavailable = await refusal(rig, { action: 'a.c', details: {} });
  assert.is(unavailable.message, 'a.c is not allowed: polkit is not available');
  assert.is(unavailable.cause, away);
  rig.authority.auto = new TypeError('odd');
  const odd = await refusal(rig, { action: 'a.c', details: {} });
  assert.is(odd.message, 'a.c is not allowed: polkit returned no usable result');
});

test('subscribes to changes once', async () => {
  const rig = new Rig();
  rig.authority.auto = 'yes';
  let times = 0;
  const watch = rig.authority.watch.bind(rig.authority);
  rig.authority.watch = (onChange) => {
    times++;
    return watch(onChange);
  };
  for (const key of ['a', 'b', 'c']) await rig.decide(call(), sign(key));
  assert.is(times, 1);
});

test('sends no request for a caller that has disconnected, and holds no slot for it', async () => {
  const rig = new Rig();
  const abort = new AbortController();
  const first = ['a', 'b', 'c'].map((key) => rig.decide(call(':1.1', { abort }), sign(key)));
  await settle();
  abort.abort();
  assert.equal(await Promise.all(first), ['Cancelled', 'Cancelled', 'Cancelled']);
  assert.is(await rig.decide(call(':1.1', { abort }), sign('d')), 'Cancelled');
  assert.is(rig.authority.checks.length, 2);
  const others = ['e', 'f', 'g'].map((key) => rig.decide(call(':1.2'), sign(key)));
  await settle();
  assert.is(rig.authority.inFlight, 2);
  rig.authority.auto = 'yes';
  for (const { respond } of rig.authority.checks) respond('yes');
  assert.equal(await Promise.all(others), ['allowed', 'allowed', 'allowed']);
});

test('counts a request of a uid until polkit responds', async () => {
  const rig = new Rig();
  const first = ['a', 'b'].map((key) => rig.decide(call(), sign(key)));
  await settle();
  rig.authority.checks[0]?.respond('yes');
  assert.is(await first[0], 'allowed');
  const more = ['c', 'd'].map((key) => rig.decide(call(), sign(key)));
  await settle();
  assert.is(rig.authority.inFlight, 2);
  rig.authority.auto = 'yes';
  for (const { respond } of rig.authority.checks) respond('yes');
  await Promise.all([...first, ...more]);
});

test('denies when it cannot subscribe to changes', async () => {
  const rig = new Rig();
  rig.authority.auto = 'yes';
  const { authority } = rig;
  const watch = authority.watch.bind(authority);
  authority.watch = () => Promise.reject(new ServiceError('Unavailable', 'no bus'));
  assert.is(await rig.decide(call()), 'AccessDenied');
  authority.watch = watch;
  assert.is(await rig.decide(call()), 'allowed');
});

test('does not mix up requests whose texts run into each other', async () => {
  const rig = new Rig();
  rig.authority.auto = 'yes';
  await rig.decide(call(), { action: 'a', details: { x: 'b', y: 'c' } });
  assert.is(await rig.decide(call(), { action: 'a', details: { x: 'b y c' } }), 'allowed');
  assert.is(await rig.decide(call(), { action: 'a', details: { x: 'b', z: 'c' } }), 'allowed');
  assert.is(await rig.decide(call(), { action: 'a x', details: { y: 'c' } }), 'allowed');
  assert.is(await rig.decide(call(), { action: 'a', details: { x: 'b y', y: '' } }), 'allowed');
  assert.is(await rig.decide(call(), { action: 'a', details: { x: 'b' } }), 'allowed');
});

test('evicts every verdict on a reload, and lets no later call join a request from before', async () => {
  const rig = new Rig();
  rig.authority.auto = 'yes';
  assert.is(await rig.decide(call()), 'allowed');
  assert.is(await rig.decide(call()), 'at once');
  rig.backend.renew({ yesMs: 10_000, noMs: 1000 });
  rig.authority.auto = undefined;
  const before = rig.decide(call());
  await Promise.resolve();
  rig.backend.renew({ yesMs: 0, noMs: 0 });
  const after = rig.decide(call());
  await new Promise((resolve) => setImmediate(resolve));
  assert.is(rig.authority.checks.length, 3);
  rig.authority.checks[1]?.respond('yes');
  rig.authority.checks[2]?.respond('no');
  assert.is(await before, 'allowed');
  assert.is(await after, 'AccessDenied');
  rig.authority.auto = 'yes';
  assert.is(await rig.decide(call()), 'allowed');
  assert.is(await rig.decide(call()), 'allowed', 'nothing is kept for no time');
});

test.run();
