/** Which events trigger a key lookup, and how often. */
import { setImmediate as turn } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KeyWatch } from '../../../../src/certificates/keys/key-watch.ts';
import type { Bus, BusSignal } from '../../../../src/dbus/bus.ts';
import { keysService } from '../../../../src/interfaces/keys.ts';
import { until } from '../../../support/deadline.ts';

const test = suite('key watch');
const waitMs = 20_000;

type Listener = (signal: BusSignal) => void;
type Subscription = readonly [Readonly<Record<string, unknown>>, Listener];

/** A watch with its subscriptions; lookups are counted. */
async function watching({ isOutdated = false } = {}) {
  const subscriptions: Subscription[] = [];
  const bus = {
    subscribe(match: Subscription[0], listener: Listener) {
      const one: Subscription = [match, listener];
      subscriptions.push(one);
      const end = () => void subscriptions.splice(subscriptions.indexOf(one), 1);
      return Promise.resolve({ [Symbol.asyncDispose]: () => Promise.resolve(end()) });
    },
  } as unknown as Bus; // nothing else of it is used
  const stop = new AbortController();
  let lookups = 0;
  const refresh = () => Promise.resolve(void lookups++);
  const options = { refresh, isOutdated: () => isOutdated, signal: stop.signal };
  const listening = await new KeyWatch(options).listen(bus);
  const emit = async (at: number, signal: object) => {
    const whole = {
      sender: ':1.1',
      path: '',
      interface: '',
      member: '',
      signature: '',
      body: [],
      ...signal,
    };
    subscriptions[at]?.[1](whole);
    await turn();
  };
  return { subscriptions, emit, listening, stop, lookups: () => lookups };
}

test('subscribes to the objects of the Keys service and to its start, until it is disposed of', async () => {
  const { subscriptions, listening } = await watching();
  const { busName, path } = keysService;
  const driver = 'org.freedesktop.DBus';
  assert.equal(
    subscriptions.map(([match]) => match),
    [
      { sender: busName, pathNamespace: path },
      { sender: driver, interface: driver, member: 'NameOwnerChanged', arg0: busName },
    ],
  );
  await listening[Symbol.asyncDispose]();
  assert.equal(subscriptions, []);
});

const { path } = keysService;
for (const [what, signal, isChange] of [
  ['a key that is created', { path, member: 'InterfacesAdded' }, true],
  ['a key that is deleted', { path, member: 'InterfacesRemoved' }, true],
  ['a key that changes', { path: `${path}/key/x`, member: 'PropertiesChanged' }, true],
  ['a property of the service', { path, member: 'PropertiesChanged' }, false],
  ['another signal of the service', { path, member: 'Odd' }, false],
  ['another signal of a key', { path: `${path}/key/x`, member: 'InterfacesAdded' }, false],
] as const) {
  test(`${isChange ? 'looks keys up' : 'does not look keys up'} after ${what}`, async () => {
    const { emit, lookups, stop } = await watching();
    await emit(0, signal);
    assert.is(lookups(), isChange ? 1 : 0);
    stop.abort();
  });
}

test('looks keys up when the Keys service starts after it was unreachable', async () => {
  for (const [isOutdated, owner, expected] of [
    [true, ':1.5', 1],
    [true, '', 0],
    [false, ':1.5', 0],
  ] as const) {
    const { emit, lookups, stop } = await watching({ isOutdated });
    await emit(1, { member: 'NameOwnerChanged', body: [keysService.busName, '', owner] });
    assert.is(lookups(), expected);
    stop.abort();
  }
});

test('looks keys up once after a pause for all changes meanwhile, and not when the service stops', async () => {
  const { emit, lookups, stop } = await watching();
  const added = { path, member: 'InterfacesAdded' };
  await emit(0, added);
  for (let time = 0; time < 5; time++) await emit(0, added);
  assert.is(lookups(), 1);
  await until(waitMs, 'the second lookup', () => lookups() === 2);
  for (let time = 0; time < 5; time++) await emit(0, added);
  assert.is(lookups(), 2);
  stop.abort();
  await emit(0, added);
  await turn();
  assert.is(lookups(), 2);
});

test('does not look keys up without an event', async () => {
  const { lookups, stop } = await watching();
  await turn();
  assert.is(lookups(), 0);
  stop.abort();
});

test.run();
