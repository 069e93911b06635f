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

const test = suite('polkit backend');

interface Check {
  readonly question: AuthorizationRequest;
  readonly sender: string;
  readonly options: CheckOptions;
  readonly answer: (answer: PolkitResult | Error) => void;
}

/** polkit in the hands of the test: every question waits until it is answered here. */
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
    question: AuthorizationRequest,
    sender: string,
    options: CheckOptions,
  ): Promise<PolkitResult> {
    this.mostInFlight = Math.max(this.mostInFlight, ++this.inFlight);
    return new Promise<PolkitResult>((resolve, reject) => {
      const answer = (value: PolkitResult | Error): void => {
        if (value instanceof Error) reject(value);
        else resolve(value);
      };
      options.signal.addEventListener('abort', () => reject(new ServiceError('Cancelled', 'gone')));
      this.checks.push({ question, sender, options, answer });
      if (this.auto !== undefined) answer(this.auto);
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

  /** `at once`, `allowed` after a question, or the code of the refusal. */
  async ask(call: CallContext, question = sign('a')): Promise<string> {
    try {
      const decision = this.backend.decide(question, call);
      if (decision === undefined) return 'at once';
      await deadline(20_000, decision, 'a decision');
      return 'allowed';
    } catch (error) {
      return isServiceError(error) ? error.code : 'broken';
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
    startedAt: 0,
  };
}

async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

test('uses a yes again for ten seconds, counted from the question', async () => {
  const rig = new Rig();
  const first = rig.ask(call());
  await settle();
  rig.now = 4000;
  rig.authority.checks[0]?.answer('yes');
  assert.is(await first, 'allowed');
  rig.now = 9999;
  assert.is(await rig.ask(call()), 'at once');
  rig.now = 10_000;
  rig.authority.auto = 'yes';
  assert.is(await rig.ask(call()), 'allowed');
});

test('uses a no again for one second', async () => {
  const rig = new Rig();
  rig.authority.auto = 'no';
  assert.is(await rig.ask(call()), 'AccessDenied');
  rig.now = 999;
  assert.is(await rig.ask(call()), 'AccessDenied');
  assert.is(rig.authority.checks.length, 1);
  rig.now = 1000;
  rig.authority.auto = 'yes';
  assert.is(await rig.ask(call()), 'allowed');
});

test('keeps nothing when it is told to keep nothing', async () => {
  const rig = new Rig(0);
  rig.authority.auto = 'yes';
  await rig.ask(call());
  assert.is(await rig.ask(call()), 'allowed');
  assert.is(rig.authority.checks.length, 2);
});

test('keeps no answer that a person gave or that polkit calls temporary', async () => {
  const rig = new Rig();
  rig.authority.auto = 'yes-once';
  await rig.ask(call());
  assert.is(await rig.ask(call()), 'allowed');
});

test('asks anew for another connection, another key, another action', async () => {
  const rig = new Rig();
  rig.authority.auto = 'yes';
  await rig.ask(call());
  assert.is(await rig.ask(call(':1.2')), 'allowed');
  assert.is(await rig.ask(call(), sign('b')), 'allowed');
  assert.is(await rig.ask(call(), { ...sign('a'), action: 'org.iotedge.keys1.verify' }), 'allowed');
});

test('forgets what it knew of a connection that left, and all of it on a change', async () => {
  const rig = new Rig();
  rig.authority.auto = 'yes';
  await rig.ask(call());
  await rig.ask(call(':1.2'));
  rig.backend.evict(':1.1');
  assert.is(await rig.ask(call()), 'allowed');
  assert.is(await rig.ask(call(':1.2')), 'at once');
  rig.authority.change();
  assert.is(await rig.ask(call(':1.2')), 'allowed');
});

test('does not keep an answer that is older than a change', async () => {
  const rig = new Rig();
  const first = rig.ask(call());
  await settle();
  rig.authority.change();
  rig.authority.checks[0]?.answer('yes');
  assert.is(await first, 'allowed');
  rig.authority.auto = 'no';
  assert.is(await rig.ask(call()), 'AccessDenied');
});

test('asks once for many calls with the same question', async () => {
  const rig = new Rig();
  const calls = Array.from({ length: 20 }, () => rig.ask(call()));
  await settle();
  assert.is(rig.authority.checks.length, 1);
  rig.authority.checks[0]?.answer('no');
  assert.equal(new Set(await Promise.all(calls)), new Set(['AccessDenied']));
});

test('has two questions of a uid under way and eight in all, uid by uid', async () => {
  const rig = new Rig();
  const asked: Promise<string>[] = [];
  for (const uid of [1, 2, 3, 4, 5, 6]) {
    for (let key = 0; key < 10; key++)
      asked.push(rig.ask(call(`:1.${uid}`, { uid }), sign(`k${key}`)));
  }
  await settle();
  const senders = (): string[] => rig.authority.checks.map(({ sender }) => sender);
  const expected = [1, 2, 3, 4].flatMap((uid) => [`:1.${uid}`, `:1.${uid}`]);
  assert.equal(senders().sort(), expected);
  for (let turn = 0; turn < 6; turn++) {
    rig.authority.checks[turn]?.answer('yes');
    await settle();
  }
  assert.equal(senders().slice(8), [':1.1', ':1.5', ':1.2', ':1.6', ':1.3', ':1.1']);
  rig.authority.auto = 'yes';
  for (const check of rig.authority.checks) check.answer('yes');
  await Promise.all(asked);
  assert.is(rig.authority.mostInFlight, 8);
  assert.is(rig.authority.checks.length, 60);
});

test('needs the permission of the caller to ask a person', async () => {
  const rig = new Rig();
  rig.authority.auto = 'challenge';
  assert.is(await rig.ask(call()), 'InteractiveAuthorizationRequired');
  assert.equal(
    rig.authority.checks.map(({ options }) => [options.interactive, options.timeoutMs]),
    [[false, 20_000]],
  );
});

test('asks a person with five minutes to answer and uses the answer once', async () => {
  const rig = new Rig();
  const first = rig.ask(call(':1.1', { interactive: true }));
  await settle();
  const plain = rig.authority.checks[0];
  assert.equal([plain?.options.interactive, plain?.options.timeoutMs], [false, 20_000]);
  plain?.answer('challenge');
  await settle();
  const prompt = rig.authority.checks[1];
  assert.equal([prompt?.options.interactive, prompt?.options.timeoutMs], [true, 300_000]);
  prompt?.answer('yes');
  assert.is(await first, 'allowed');
  rig.authority.auto = 'challenge';
  assert.is(await rig.ask(call(':1.1')), 'InteractiveAuthorizationRequired');
});

test('takes a challenge after a person was asked as a no', async () => {
  const rig = new Rig();
  rig.authority.auto = 'challenge';
  assert.is(await rig.ask(call(':1.1', { interactive: true })), 'AccessDenied');
});

test('asks nothing about a question for which a person is being asked', async () => {
  const rig = new Rig();
  const first = rig.ask(call(':1.1', { interactive: true }));
  await settle();
  rig.authority.checks[0]?.answer('challenge');
  await settle();
  assert.is(await rig.ask(call(':1.1')), 'InteractiveAuthorizationRequired');
  assert.is(rig.authority.checks.length, 2);
  rig.authority.checks[1]?.answer('no');
  assert.is(await first, 'AccessDenied');
  rig.authority.auto = 'yes';
  assert.is(await rig.ask(call(':1.1')), 'allowed', 'the person has answered');
});

test('asks polkit again after a change, while a person thinks', async () => {
  const rig = new Rig();
  const first = rig.ask(call(':1.1', { interactive: true }));
  await settle();
  rig.authority.checks[0]?.answer('challenge');
  await settle();
  rig.authority.change();
  rig.authority.auto = 'yes';
  assert.is(await rig.ask(call(':1.1')), 'allowed');
  rig.authority.checks[1]?.answer('no');
  assert.is(await first, 'AccessDenied');
});

test('asks four people at a time, one for a uid, and the next when one has answered', async () => {
  const rig = new Rig();
  rig.authority.auto = 'challenge';
  const calls = [1, 2, 3, 4, 5, 6].flatMap((uid) =>
    ['a', 'b'].map((key) => rig.ask(call(`:1.${uid}`, { uid, interactive: true }), sign(key))),
  );
  const prompts = (): Check[] => rig.authority.checks.filter(({ options }) => options.interactive);
  const check = rig.authority.check.bind(rig.authority);
  rig.authority.check = (question, sender, options) => {
    rig.authority.auto = options.interactive ? undefined : 'challenge';
    return check(question, sender, options);
  };
  const answered = new Set<Check>();
  for (let turn = 0; turn < 12; turn++) {
    await settle();
    const open = prompts().filter((prompt) => !answered.has(prompt));
    const senders = open.map(({ sender }) => sender);
    const left = [1, 2, 3, 4, 5, 6].filter((uid) => {
      const done = [...answered].filter(({ sender }) => sender === `:1.${uid}`);
      return done.length < 2;
    });
    assert.is(open.length, Math.min(4, left.length));
    assert.is(new Set(senders).size, senders.length, senders.join());
    const [next] = open;
    assert.ok(next);
    answered.add(next);
    next.answer('yes');
  }
  assert.equal(
    await Promise.all(calls),
    Array.from({ length: 12 }, () => 'allowed'),
  );
});

test('answers plain questions while people think', async () => {
  const rig = new Rig();
  const prompts = [1, 2, 3, 4, 5, 6, 7, 8, 9].map((uid) =>
    rig.ask(call(`:1.${uid}`, { uid, interactive: true })),
  );
  rig.authority.auto = 'challenge';
  await settle();
  rig.authority.auto = undefined;
  for (const { options, answer } of rig.authority.checks) {
    if (!options.interactive) answer('challenge');
  }
  await settle();
  rig.authority.auto = 'yes';
  assert.is(await rig.ask(call(':1.1', { uid: 1 }), sign('other')), 'allowed');
  for (const { answer } of rig.authority.checks) answer('no');
  await Promise.all(prompts);
});

test('gives up when the caller leaves, waiting or asked about', async () => {
  const rig = new Rig();
  const abort = new AbortController();
  const keys = ['a', 'b', 'c'];
  const calls = keys.map((key) => rig.ask(call(':1.1', { abort }), sign(key)));
  await settle();
  assert.is(rig.authority.checks.length, 2);
  abort.abort();
  assert.equal(await Promise.all(calls), ['Cancelled', 'Cancelled', 'Cancelled']);
  rig.authority.auto = 'yes';
  assert.is(await rig.ask(call(':1.2')), 'allowed');
});

test('does not act on a yes for a caller that left meanwhile', async () => {
  const rig = new Rig();
  const abort = new AbortController();
  rig.authority.auto = 'yes';
  const decision = rig.ask(call(':1.1', { abort }));
  abort.abort();
  assert.is(await decision, 'Cancelled');
  assert.is(await rig.ask(call(':1.1')), 'allowed');
});

test('denies when polkit fails in any way, and asks again the next time', async () => {
  const rig = new Rig();
  const failures = [
    new ServiceError('Unavailable', 'not there'),
    new ServiceError('AccessDenied', 'the policy of the bus'),
    new ServiceError('InvalidArgs', 'odd'),
    new TypeError('odd'),
  ];
  for (const failure of failures) {
    rig.authority.auto = failure;
    assert.is(await rig.ask(call()), 'AccessDenied');
  }
  rig.authority.auto = 'yes';
  assert.is(await rig.ask(call()), 'allowed');
});

/** The refusal of a question. */
async function refusal(rig: Rig, question: AuthorizationRequest): Promise<ServiceError> {
  try {
    await rig.backend.decide(question, call());
  } catch (error) {
    assert.ok(isServiceError(error, 'AccessDenied'));
    return error;
  }
  throw new TypeError('it was allowed');
}

test('says what is not allowed and why, and what went wrong', async () => {
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
  assert.is(odd.message, 'a.c is not allowed: polkit gave no usable answer');
});

test('listens for changes once', async () => {
  const rig = new Rig();
  rig.authority.auto = 'yes';
  let times = 0;
  const watch = rig.authority.watch.bind(rig.authority);
  rig.authority.watch = (onChange) => {
    times++;
    return watch(onChange);
  };
  for (const key of ['a', 'b', 'c']) await rig.ask(call(), sign(key));
  assert.is(times, 1);
});

test('asks nothing for a caller that has left, and holds no place for it', async () => {
  const rig = new Rig();
  const abort = new AbortController();
  const first = ['a', 'b', 'c'].map((key) => rig.ask(call(':1.1', { abort }), sign(key)));
  await settle();
  abort.abort();
  assert.equal(await Promise.all(first), ['Cancelled', 'Cancelled', 'Cancelled']);
  assert.is(await rig.ask(call(':1.1', { abort }), sign('d')), 'Cancelled');
  assert.is(rig.authority.checks.length, 2);
  const others = ['e', 'f', 'g'].map((key) => rig.ask(call(':1.2'), sign(key)));
  await settle();
  assert.is(rig.authority.inFlight, 2);
  rig.authority.auto = 'yes';
  for (const { answer } of rig.authority.checks) answer('yes');
  assert.equal(await Promise.all(others), ['allowed', 'allowed', 'allowed']);
});

test('counts a question of a uid until it is answered', async () => {
  const rig = new Rig();
  const first = ['a', 'b'].map((key) => rig.ask(call(), sign(key)));
  await settle();
  rig.authority.checks[0]?.answer('yes');
  assert.is(await first[0], 'allowed');
  const more = ['c', 'd'].map((key) => rig.ask(call(), sign(key)));
  await settle();
  assert.is(rig.authority.inFlight, 2);
  rig.authority.auto = 'yes';
  for (const { answer } of rig.authority.checks) answer('yes');
  await Promise.all([...first, ...more]);
});

test('denies when it cannot hear of changes', async () => {
  const rig = new Rig();
  rig.authority.auto = 'yes';
  const { authority } = rig;
  const watch = authority.watch.bind(authority);
  authority.watch = () => Promise.reject(new ServiceError('Unavailable', 'no bus'));
  assert.is(await rig.ask(call()), 'AccessDenied');
  authority.watch = watch;
  assert.is(await rig.ask(call()), 'allowed');
});

test('does not mix up questions whose texts run into each other', async () => {
  const rig = new Rig();
  rig.authority.auto = 'yes';
  await rig.ask(call(), { action: 'a', details: { x: 'b', y: 'c' } });
  assert.is(await rig.ask(call(), { action: 'a', details: { x: 'b y c' } }), 'allowed');
  assert.is(await rig.ask(call(), { action: 'a', details: { x: 'b', z: 'c' } }), 'allowed');
  assert.is(await rig.ask(call(), { action: 'a x', details: { y: 'c' } }), 'allowed');
  assert.is(await rig.ask(call(), { action: 'a', details: { x: 'b y', y: '' } }), 'allowed');
  assert.is(await rig.ask(call(), { action: 'a', details: { x: 'b' } }), 'allowed');
});

test('keeps no verdict over a reload, and lets no later call join a question from before', async () => {
  const rig = new Rig();
  rig.authority.auto = 'yes';
  assert.is(await rig.ask(call()), 'allowed');
  assert.is(await rig.ask(call()), 'at once');
  rig.backend.renew({ yesMs: 10_000, noMs: 1000 });
  rig.authority.auto = undefined;
  const before = rig.ask(call());
  await Promise.resolve();
  rig.backend.renew({ yesMs: 0, noMs: 0 });
  const after = rig.ask(call());
  await new Promise((resolve) => setImmediate(resolve));
  assert.is(rig.authority.checks.length, 3);
  rig.authority.checks[1]?.answer('yes');
  rig.authority.checks[2]?.answer('no');
  assert.is(await before, 'allowed');
  assert.is(await after, 'AccessDenied');
  rig.authority.auto = 'yes';
  assert.is(await rig.ask(call()), 'allowed');
  assert.is(await rig.ask(call()), 'allowed', 'nothing is kept for no time');
});

test.run();
