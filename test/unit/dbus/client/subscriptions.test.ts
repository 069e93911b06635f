import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type SignalMatch, Subscriptions } from '../../../../src/dbus/client/subscriptions.ts';
import { IncomingMessage } from '../../../../src/dbus/wire/inbox.ts';
import { type MessageHeader } from '../../../../src/dbus/wire/message.ts';
import { ServiceError } from '../../../../src/errors.ts';
import { failureOf } from '../../../support/failure.ts';
import { callWith } from '../../../support/wire/messages.ts';

const test = suite('dbus subscriptions');

const driver = 'org.freedesktop.DBus';

/** Subscriptions at a bus that records its match rules. */
function open(owners: ReadonlyMap<string, string> = new Map()) {
  const rules: string[] = [];
  const subscriptions = new Subscriptions(
    (member, [rule]) => {
      rules.push(`${member} ${String(rule)}`);
      return Promise.resolve([]);
    },
    (name) => Promise.resolve(owners.get(name)),
  );
  const signal = (
    { signature = '', ...fields }: Partial<MessageHeader>,
    ...body: readonly unknown[]
  ): boolean => {
    const { header } = callWith(signature, body);
    const bytes = callWith(signature, body).reader(0).buffer;
    const own = { type: 4, sender: ':1.7', path: '/a/b', interface: 'a.b', member: 'C' };
    const message = new IncomingMessage({ ...header, ...own, ...fields }, bytes, true);
    const wanted = subscriptions.wants(message.header);
    subscriptions.deliver(message, 100);
    return wanted;
  };
  return { rules, signal, subscriptions };
}

/** How many of these signals a subscription to a match is notified of. */
async function notified(
  match: SignalMatch,
  ...signals: readonly (readonly [Partial<MessageHeader>, ...unknown[]])[]
): Promise<readonly boolean[]> {
  const { subscriptions, signal } = open();
  let count = 0;
  await subscriptions.add(match, () => void count++);
  return signals.map(([fields, ...body]) => {
    const before = count;
    signal(fields, ...body);
    return count > before;
  });
}

test('match every part of a signal themselves, whatever the bus delivered', async () => {
  const cases: readonly (readonly [SignalMatch, Partial<MessageHeader>, Partial<MessageHeader>])[] =
    [
      [{ sender: ':1.7' }, {}, { sender: ':1.8' }],
      [{ sender: driver }, { sender: driver }, { sender: ':1.8' }],
      [{ path: '/a/b' }, {}, { path: '/a' }],
      [{ pathNamespace: '/a' }, { path: '/a' }, { path: '/ab' }],
      [{ pathNamespace: '/a' }, { path: '/a/b/c' }, { path: '/' }],
      [{ interface: 'a.b' }, {}, { interface: 'a.c' }],
      [{ member: 'C' }, {}, { member: 'D' }],
    ];
  for (const [match, right, wrong] of cases) {
    assert.equal(await notified(match, [right], [wrong]), [true, false], JSON.stringify(match));
  }
  assert.equal(await notified({ pathNamespace: '/' }, [{ path: '/' }], [{ path: '/x' }]), [
    true,
    true,
  ]);
  const texts = (...values: readonly string[]) => [{ signature: 'sss' }, ...values] as const;
  const [all, first] = [texts('a', 'b', 'c'), texts('x', 'b', 'c')];
  assert.equal(await notified({ arg0: 'a' }, all, first, [{}]), [true, false, false]);
  assert.equal(await notified({ arg2: 'c' }, all, texts('a', 'b', ''), [{}]), [true, false, false]);
  assert.equal(await notified({ arg2: '' }, texts('a', 'b', ''), all), [true, false]);
});

test('drop signals without a subscription', async () => {
  const { subscriptions, signal } = open();
  assert.is(signal({}), false);
  const subscription = await subscriptions.add({ member: 'C' }, () => undefined);
  assert.equal([signal({}), signal({ member: 'D' })], [true, false]);
  await subscription[Symbol.asyncDispose]();
  assert.is(signal({}), false);
});

test('drop malformed and oversized signals, and signals without a sender', async () => {
  const { subscriptions, signal } = open();
  const bodies: unknown[] = [];
  await subscriptions.add({ member: 'C' }, ({ body }) => void bodies.push(body));
  const list = (count: number) => Array.from({ length: count }, () => 'x');
  signal({ signature: 'as' }, list(101));
  signal({ sender: undefined });
  signal({ path: undefined });
  signal({ interface: undefined });
  assert.equal(bodies, []);
  signal({ signature: 'as' }, list(100));
  assert.equal(bodies, [[list(100)]]);
});

test('follow the owner of a name, and accept no signal while it has none', async () => {
  const { subscriptions, signal, rules } = open(new Map([['a.name', ':1.7']]));
  let count = 0;
  const subscription = await subscriptions.add(
    { sender: 'a.name', member: 'C' },
    () => void count++,
  );
  assert.equal(rules, [
    `AddMatch type='signal',sender='${driver}',interface='${driver}',member='NameOwnerChanged',arg0='a.name'`,
    "AddMatch type='signal',sender='a.name',member='C'",
  ]);
  const owner = (sender: string, name: string, now: string) => {
    const changed = { sender, interface: driver, member: 'NameOwnerChanged', signature: 'sss' };
    signal(changed, name, ':1.7', now);
  };
  const isReceived = (sender: string): boolean => {
    const before = count;
    signal({ sender });
    return count > before;
  };
  assert.equal([isReceived(':1.7'), isReceived(':1.8')], [true, false]);
  owner(':1.8', 'a.name', ':1.8');
  assert.equal(
    [isReceived(':1.7'), isReceived(':1.8')],
    [true, false],
    'only the bus says who owns it',
  );
  owner(driver, 'another.name', ':1.8');
  assert.equal([isReceived(':1.7'), isReceived(':1.8')], [true, false]);
  owner(driver, 'a.name', ':1.8');
  assert.equal([isReceived(':1.7'), isReceived(':1.8')], [false, true]);
  owner(driver, 'a.name', '');
  assert.equal(
    [isReceived(':1.7'), isReceived(':1.8'), isReceived('a.name')],
    [false, false, false],
  );
  rules.length = 0;
  await subscription[Symbol.asyncDispose]();
  await subscription[Symbol.asyncDispose]();
  assert.equal(
    rules.map((rule) => rule.split(' ')[0]),
    ['RemoveMatch', 'RemoveMatch'],
  );
});

test('process the signal of a change before the reply that was sent before it', async () => {
  let report: (owner: string) => void = () => undefined;
  const subscriptions = new Subscriptions(
    () => Promise.resolve([]),
    () =>
      new Promise((resolve) => {
        report = resolve;
      }),
  );
  let count = 0;
  const adding = subscriptions.add({ sender: 'a.name' }, () => void count++);
  await new Promise((resolve) => void setImmediate(resolve));
  const deliver = (fields: Partial<MessageHeader>, ...body: readonly unknown[]) => {
    const signature = body.map(() => 's').join('');
    const message = callWith(signature, body);
    const own = { type: 4, path: '/a', interface: 'a.b', member: 'C', ...fields };
    const bytes = message.reader(0).buffer;
    subscriptions.deliver(new IncomingMessage({ ...message.header, ...own }, bytes, true), 100);
  };
  const changed = { sender: driver, interface: driver, member: 'NameOwnerChanged' };
  deliver(changed, 'a.name', ':1.7', ':1.8');
  report(':1.7');
  await adding;
  deliver({ sender: ':1.7' });
  assert.is(count, 0);
  deliver({ sender: ':1.8' });
  assert.is(count, 1);
});

test('quote values in a match rule', async () => {
  const { subscriptions, rules } = open();
  const all = { path: '/a', pathNamespace: '/b', interface: 'c.d', arg0: "it's", arg2: '' };
  await subscriptions.add(all, () => undefined);
  assert.equal(rules, [
    "AddMatch type='signal',path='/a',path_namespace='/b',interface='c.d',arg0='it'\\''s',arg2=''",
  ]);
});

test('throw when the bus refuses, and end without an error on a lost bus', async () => {
  let failure: Error | undefined = new TypeError('refused');
  const subscriptions = new Subscriptions(
    () => (failure === undefined ? Promise.resolve([]) : Promise.reject(failure)),
    () => Promise.resolve(undefined),
  );
  assert.match(await failureOf(subscriptions.add({ member: 'C' }, () => undefined)), 'TypeError');
  assert.is(subscriptions.wants({ ...callWith('', []).header, member: 'C' }), false);
  for (const [end, outcome] of [
    [new ServiceError('Unavailable', 'lost'), 'no failure'],
    [new ServiceError('Failed', 'other'), 'Failed'],
  ] as const) {
    failure = undefined;
    const one = await subscriptions.add({ member: 'C' }, () => undefined);
    failure = end;
    assert.is(await failureOf(Promise.resolve(one[Symbol.asyncDispose]())), outcome);
  }
});

test.run();
