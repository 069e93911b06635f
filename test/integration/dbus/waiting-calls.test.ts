import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { IncomingCall } from '../../../src/dbus/server/call.ts';
import { defaultCallLimits } from '../../../src/dbus/server/limits/call-limits.ts';
import { PropertySet } from '../../../src/dbus/server/properties.ts';
import { deadline, until } from '../../support/deadline.ts';
import { failureOf } from '../../support/failure.ts';
import { echo, withEcho } from '../../support/wire/echo-rig.ts';
import { echoService } from '../../support/wire/echo-service.ts';
import { RawConnection } from '../../support/wire/raw-connection.ts';

const test = suite('dbus calls that wait, and calls without a waiting caller');

test('encodes no reply that no caller expects', () =>
  withEcho(async ({ rig, objects }) => {
    for (let count = 0; count < 50; count++) {
      objects.put(`thing-${count}`, { Name: `${count}`, Size: 1n });
    }
    using raw = await RawConnection.open(rig.socket);
    const { busName: destination, path } = echoService;
    const manager = 'org.freedesktop.DBus.ObjectManager';
    const quiet = { type: 1, flags: 1, destination, path };
    const body = Buffer.alloc(8);
    let described = 0;
    let listed = 0;
    const all = Reflect.get(PropertySet.prototype, 'all') as PropertySet['all']; // called with its object
    PropertySet.prototype.all = function (this: PropertySet) {
      listed++;
      return all.call(this);
    };
    const toJson = JSON.stringify;
    JSON.stringify = ((...args: Parameters<typeof toJson>) => {
      described++;
      return toJson(...args);
    }) as typeof toJson; // it has several signatures
    try {
      raw.send({
        ...quiet,
        interface: echoService.busName,
        member: 'Describe',
        signature: 'a{sv}',
        body,
      });
      raw.send({ ...quiet, interface: manager, member: 'GetManagedObjects' });
      await raw.call({ type: 1, destination, path, member: 'Ping' });
    } finally {
      JSON.stringify = toJson;
      PropertySet.prototype.all = all;
    }
    assert.equal([described, listed], [0, 0]);
  }));

test('gives each authorized call a slot, as many at once as the limit', () =>
  withEcho(
    async ({ bus, contexts, server }) => {
      const calls = Array.from({ length: 6 }, () => failureOf(echo(bus).GuardedHang({})));
      await until(15_000, 'the calls', () => server.pendingCalls === 6 && contexts.length > 0);
      // earlier messages are processed first
      for (let count = 0; count < 5; count++) await bus.nameOwner('a.b');
      assert.is(contexts.length, 2);
      server.abandonCalls();
      const outcomes = await deadline(15_000, Promise.all(calls), 'the replies');
      assert.equal([...new Set(outcomes)].sort(), ['Cancelled', 'Unavailable']);
    },
    {
      limits: {
        ...defaultCallLimits,
        trusted: { ...defaultCallLimits.trusted, active: 2 },
      },
      authorize: () => new Promise((resolve) => setImmediate(resolve)),
    },
  ));

test('holds the body of a call only until its arguments are read', () =>
  withEcho(async ({ bus, contexts, server }) => {
    const hanging = failureOf(echo(bus).Hang({}));
    await until(15_000, 'the call', () => contexts.length === 1);
    const [call] = contexts;
    assert.ok(call instanceof IncomingCall && call.message.isSkipped);
    server.abandonCalls();
    await deadline(15_000, hanging, 'the reply');
  }));

/** Sends three calls that expect no reply, and disconnects. */
async function sendAndLeave(raw: RawConnection): Promise<void> {
  const { busName: destination, path } = echoService;
  const call = { type: 1, flags: 1, destination, path, interface: destination, member: 'Hang' };
  for (let at = 0; at < 3; at++) raw.send({ ...call, signature: 'a{sv}', body: Buffer.alloc(8) });
  // the bus has forwarded everything earlier before it replies
  const driver = 'org.freedesktop.DBus';
  await raw.call({ type: 1, destination: driver, path: '/', interface: driver, member: 'GetId' });
  raw[Symbol.dispose]();
}

test('reports the calls without a reply whose caller disconnected while they were queued', () => {
  const lost: (readonly [string, number | undefined])[] = [];
  return withEcho(
    async ({ bus, contexts, rig, server }) => {
      const known = await RawConnection.open(rig.socket);
      const { busName: destination, path } = echoService;
      await known.call({ type: 1, destination, path, member: 'Ping' });
      const first = failureOf(echo(bus).Hang({}));
      await until(15_000, 'the call', () => contexts.length === 1);
      await sendAndLeave(known);
      await until(15_000, 'the loss of the calls', () => lost.length === 3);
      await sendAndLeave(await RawConnection.open(rig.socket));
      await until(15_000, 'the loss of the others', () => lost.length === 6);
      assert.is(contexts.length, 1);
      const hang = `${echoService.busName}.Hang`;
      assert.ok(lost.every(([name]) => name === hang));
      assert.is(lost[0]?.[1], 0);
      server.abandonCalls();
      await deadline(15_000, first, 'the reply');
    },
    {
      limits: { ...defaultCallLimits, trusted: { ...defaultCallLimits.trusted, active: 1 } },
      observer: { onLostCall: (name, caller) => void lost.push([name, caller?.uid]) },
    },
  );
});

test.run();
