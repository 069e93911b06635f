import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus, BusSignal, SignalMatch } from '../../../../src/dbus/bus.ts';
import { Callers } from '../../../../src/dbus/server/caller.ts';
import { socketPath } from '../../../../src/dbus/wire/connection.ts';
import { variant } from '../../../../src/dbus/wire/variant.ts';
import { deadline } from '../../../support/deadline.ts';
import { failureOf } from '../../../support/failure.ts';

const test = suite('dbus callers');

/** A bus that reports these credentials once it is released. */
async function open(credentials: unknown) {
  const queries: string[] = [];
  let leave: (name: unknown) => void = () => undefined;
  let match: SignalMatch = {};
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const bus = {
    subscribe: (wanted: SignalMatch, listener: (signal: BusSignal) => void) => {
      match = wanted;
      leave = (name) => listener({ body: [name, name, ''] } as unknown as BusSignal);
      return Promise.resolve();
    },
    callDriver: async (member: string, _signature: string, [name]: readonly unknown[]) => {
      queries.push(`${member} ${String(name)}`);
      await held;
      if (credentials instanceof Error) throw credentials;
      return [credentials];
    },
  } as unknown as Bus; // its constructor is private
  const callers = await Callers.start(bus);
  return {
    callers,
    queries,
    leave: (name: unknown) => leave(name),
    match,
    release: () => release(),
  };
}

const credentials = {
  UnixUserID: variant('u', 1000),
  UnixGroupIDs: variant('au', [1000, 27, 1000]),
  ProcessID: variant('u', 42),
};

test('are queried once, and cached until they disconnect', async () => {
  const { callers, queries, leave, match, release } = await open(credentials);
  const driver = 'org.freedesktop.DBus';
  assert.equal(match, { sender: driver, interface: driver, member: 'NameOwnerChanged', arg2: '' });
  const left: string[] = [];
  const listening = callers.onVanish(({ sender }) => void left.push(sender));
  const both = [callers.get(':1.5'), callers.get(':1.5')];
  release();
  const [one, two] = await deadline(10_000, Promise.all(both), 'the caller');
  assert.equal(one, { sender: ':1.5', uid: 1000, gids: [1000, 27], pid: 42 });
  assert.is(one, two);
  assert.is(await callers.get(':1.5'), one);
  assert.equal(queries, ['GetConnectionCredentials :1.5']);
  leave('a.name');
  leave(7);
  leave(':1.6');
  assert.equal([callers.cached.get(':1.5'), left], [one, []]);
  leave(':1.5');
  assert.equal([callers.cached.get(':1.5'), left], [undefined, [':1.5']]);
  await callers.get(':1.5');
  assert.is(queries.length, 2);
  listening[Symbol.dispose]();
  leave(':1.5');
  assert.is(left.length, 1);
});

test('are not cached when they disconnect before the bus reports them', async () => {
  const { callers, leave, release } = await open(credentials);
  const outcome = failureOf(callers.get(':1.5'));
  leave(':1.5');
  release();
  assert.is(await deadline(10_000, outcome, 'the end'), 'AccessDenied');
  assert.is(callers.cached.get(':1.5'), undefined);
});

test('are refused without a uid, and may have no groups and no pid', async () => {
  const { UnixUserID, ...rest } = credentials;
  for (const wrong of [
    rest,
    {},
    undefined,
    { UnixUserID: 0 },
    { UnixUserID: variant('s', '0') },
    new Error('x'),
  ]) {
    const { callers, release } = await open(wrong);
    release();
    assert.is(await failureOf(callers.get(':1.5')), 'AccessDenied');
    assert.is(callers.cached.get(':1.5'), undefined);
  }
  const { callers, release } = await open({ UnixUserID });
  release();
  assert.equal(await callers.get(':1.5'), { sender: ':1.5', uid: 1000, gids: [], pid: undefined });
});

test('read the socket of a bus from the first address that has one', () => {
  for (const [addresses, path] of [
    ['unix:path=/run/bus', '/run/bus'],
    ['unix:path=/a%20b,guid=00', '/a b'],
    ['unix:guid=00,path=/c', '/c'],
    ['tcp:host=x;unix:tmpdir=/tmp;unix:path=/d;unix:path=/e', '/d'],
    ['unix:abstract=/f', '\0/f'],
  ] as const) {
    assert.is(socketPath(addresses), path, addresses);
  }
  for (const none of ['', 'unix:', 'tcp:path=/x', 'path=/x', 'unix:tmpdir=/x']) {
    assert.throws(() => socketPath(none), TypeError, none);
  }
});

test.run();
