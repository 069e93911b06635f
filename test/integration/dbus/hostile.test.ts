import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus } from '../../../src/dbus/bus.ts';
import { client } from '../../../src/dbus/client/client.ts';
import { variant } from '../../../src/dbus/wire/variant.ts';
import { until } from '../../support/deadline.ts';
import { runs } from '../../support/property.ts';
import { type BusKind, PrivateBus } from '../../support/rig/private-bus.ts';
import {
  type EchoFixture,
  echoRemote,
  echoService,
  startEcho,
} from '../../support/wire/echo-service.ts';
import { hostileCalls } from '../../support/wire/hostile-messages.ts';
import { bytesOfBody } from '../../support/wire/messages.ts';
import { RawConnection, type RawMessage } from '../../support/wire/raw-connection.ts';

const test = suite('dbus hostile messages');
const kinds: readonly BusKind[] = ['dbus-daemon', 'dbus-broker'];

const methodCall = { type: 1, destination: echoService.busName, path: echoService.path } as const;
const echoCall: RawMessage = { ...methodCall, interface: 'org.iotedge.Echo1', member: 'Echo' };
const wire = 'org.freedesktop.DBus.Error';

interface Rig extends EchoFixture {
  readonly rig: PrivateBus;
  readonly raw: RawConnection;
  readonly served: Bus;
}

/** An echo service that must still reply on either bus, without pending calls, when the attack is over. */
async function attack(body: (rig: Rig) => Promise<void>): Promise<void> {
  for (const kind of kinds) await attackOn(kind, body);
}

async function attackOn(kind: BusKind, body: (rig: Rig) => Promise<void>): Promise<void> {
  await using rig = await PrivateBus.start(undefined, kind);
  await using served = await rig.connect();
  const fixture = await startEcho(served);
  using raw = await RawConnection.open(rig.socket);
  await body({ rig, raw, served, ...fixture });
  await using friend = await rig.connect();
  const data = Buffer.from('still there');
  const { answer } = await client(friend, echoRemote, echoService.manager).Echo({ data });
  assert.is(answer.toString(), 'still there');
  await until(15_000, 'every call to end', () => fixture.server.pendingCalls === 0);
}

async function refusal(raw: RawConnection, message: RawMessage): Promise<string | undefined> {
  const { type, errorName } = (await raw.call(message)).header;
  assert.is(type, 3);
  return errorName;
}

test('survives a descriptor index without a descriptor, in a call', () =>
  attack(async ({ raw }) => {
    for (const [signature, body] of [
      ['h', Buffer.alloc(4)],
      ['ah', Buffer.from('0400000000000000', 'hex')],
      ['v', Buffer.from('0168000000000000', 'hex')],
    ] as const) {
      assert.is(await refusal(raw, { ...echoCall, signature, body }), `${wire}.InvalidArgs`);
    }
  }));

test('survives a descriptor index without a descriptor, in a signal', () =>
  attack(async ({ raw, served }) => {
    let signals = 0;
    await served.subscribe({ interface: 'a.b', member: 'News' }, () => void signals++);
    const { uniqueName: destination } = served;
    const signal = { type: 4, destination, path: '/', interface: 'a.b', member: 'News' };
    raw.send({ ...signal, signature: 'h', body: Buffer.alloc(4) });
    raw.send({ ...signal, signature: 'a{sv}', body: bytesOfBody('a{sv}', {}) });
    await until(15_000, 'the signals', () => signals >= 1);
  }));

test('survives unknown header fields, of any type and depth', () =>
  attack(async ({ rig }) => {
    const fields = ['01680000000000', '016f0001000000 2f00', '0261690000000000'];
    const deep = [1, 31, 33, 45, 58, 64].map((depth) => `${'017600'.repeat(depth)}01790007`);
    for (const field of [...fields, ...deep]) {
      using raw = await RawConnection.open(rig.socket);
      const unknownField = Buffer.from(field.replaceAll(' ', ''), 'hex');
      const ping = raw.send({ ...methodCall, member: 'Ping', unknownField });
      // it depends on the bus which of them are forwarded
      await until(
        15_000,
        'a reply or the end',
        () => raw.closed || raw.replyTo(ping) !== undefined,
      );
    }
  }));

test('survives unexpected replies', () =>
  attack(async ({ raw, served }) => {
    const { uniqueName: destination } = served;
    raw.send({ type: 2, replySerial: 1, destination, signature: 's', body: bytesOfBody('s', 'x') });
    await raw.call({ ...echoCall, member: 'Describe', signature: 'a{sv}', body: Buffer.alloc(8) });
  }));

test('refuses the wrong signature and the wrong number of arguments', () =>
  attack(async ({ raw }) => {
    const wrong: readonly (readonly [string | undefined, Buffer])[] = [
      [undefined, Buffer.alloc(0)],
      ['ay', bytesOfBody('ay', Buffer.of(1))],
      ['say', bytesOfBody('say', 'x', Buffer.of(1))],
      ['aya{sv}s', bytesOfBody('aya{sv}s', Buffer.of(1), {}, 'more')],
      ['aya{ss}', bytesOfBody('aya{ss}', Buffer.of(1), {})],
    ];
    for (const [signature, body] of wrong) {
      const message = { ...echoCall, body, ...(signature === undefined ? {} : { signature }) };
      assert.is(await refusal(raw, message), `${wire}.InvalidArgs`, signature);
    }
  }));

test('refuses unknown members, interfaces and objects', () =>
  attack(async ({ raw }) => {
    const { interface: _, ...bare } = echoCall;
    const name = 'org.iotedge.Echo1';
    const cases: readonly (readonly [RawMessage, string])[] = [
      [{ ...echoCall, member: 'No' }, 'UnknownMethod'],
      [{ ...echoCall, member: 'constructor' }, 'UnknownMethod'],
      [{ ...echoCall, member: '__proto__' }, 'UnknownMethod'],
      [{ ...bare, member: 'No' }, 'UnknownMethod'],
      [{ ...echoCall, interface: 'a.b' }, 'UnknownInterface'],
      [{ ...echoCall, interface: '__proto__.constructor' }, 'UnknownInterface'],
      [{ ...echoCall, path: '/no/where' }, 'UnknownObject'],
      [{ ...echoCall, path: '/org' }, 'UnknownObject'],
      [{ ...echoCall, interface: `${name}.Thing`, path: '/no' }, 'UnknownObject'],
      [{ ...echoCall, interface: 'org.freedesktop.DBus.Peer', member: 'No' }, 'UnknownMethod'],
      [{ ...echoCall, interface: 'org.freedesktop.DBus.Properties' }, 'UnknownMethod'],
    ];
    for (const [message, code] of cases) {
      assert.is(await refusal(raw, message), `${wire}.${code}`, JSON.stringify(message));
    }
  }));

test('finds the interface of a call without one when there is only one', () =>
  attack(async ({ raw }) => {
    const body = bytesOfBody('aya{sv}', Buffer.of(7), {});
    const echoed = await raw.call({ ...methodCall, member: 'Echo', signature: 'aya{sv}', body });
    assert.is(echoed.header.type, 2);
    assert.is((await raw.call({ ...methodCall, member: 'Ping' })).header.type, 2);
    assert.is((await raw.call({ ...methodCall, member: 'Introspect' })).header.type, 2);
  }));

test('returns the largest things that a caller can have decoded, and holds none of them', () =>
  attack(async ({ raw }) => {
    const codes = {
      'a{sv}': 'LimitsExceeded',
      ssv: 'LimitsExceeded',
      path: 'LimitsExceeded',
      field: 'LimitsExceeded',
    };
    const before = process.memoryUsage();
    for (const [what, message] of hostileCalls(echoService.busName, echoService.path)) {
      // some buses remove unknown fields, and the call is then an ordinary one
      const { type, errorName } = (await raw.call(message)).header;
      const isAnswered = what === 'field' && type === 2;
      const code = new Map(Object.entries(codes)).get(what) ?? 'InvalidArgs';
      if (!isAnswered) assert.is(errorName, `${wire}.${code}`, what);
    }
    const { heapUsed } = process.memoryUsage();
    assert.ok(heapUsed - before.heapUsed < 64 << 20, 'the messages of the test are no heap');
  }));

test('refuses a body of nearly 32 MiB without reading it', () =>
  attack(async ({ raw }) => {
    const size = (32 << 20) - 1024;
    const bytes = Buffer.alloc(size);
    bytes.writeUInt32LE(size - 4);
    for (const signature of ['ay', 'aay', 'ai', 'a(t)']) {
      const body = Buffer.from(bytes);
      if (signature === 'a(t)') body.writeUInt32LE(size - 8);
      assert.is(await refusal(raw, { ...echoCall, signature, body }), `${wire}.InvalidArgs`);
    }
  }));

test('refuses large bodies of the right signature with LimitsExceeded', () =>
  attack(async ({ raw }) => {
    const signature = 'aya{sv}';
    const data = bytesOfBody(signature, Buffer.alloc(31 << 20), {});
    assert.is(await refusal(raw, { ...echoCall, signature, body: data }), `${wire}.LimitsExceeded`);
    // entries of 16 bytes: the most memory per byte that a caller can cause in a service
    const entry = Buffer.from('04000000 00000000 00017900 05000000'.replaceAll(' ', ''), 'hex');
    const dictionary = Buffer.alloc(30 << 20, entry);
    for (let at = 0; at < dictionary.length; at += entry.length) {
      dictionary.write(at.toString(36).padStart(8, '0').slice(-4), at + 4);
    }
    const head = Buffer.alloc(8);
    head.writeUInt32LE(dictionary.length - 3, 4);
    const body = Buffer.concat([head, dictionary.subarray(0, -3)]);
    assert.is(await refusal(raw, { ...echoCall, signature, body }), `${wire}.LimitsExceeded`);
  }));

test('treats __proto__ and constructor in a dictionary as unknown options', () =>
  attack(async ({ raw }) => {
    for (const key of ['__proto__', 'constructor', 'hasOwnProperty']) {
      const polluting = variant('a{sv}', new Map([['reverse', variant('b', true)]]));
      const options = new Map([[key, polluting]]);
      const body = bytesOfBody('aya{sv}', Buffer.of(1), options);
      const message = { ...echoCall, signature: 'aya{sv}', body };
      assert.is(await refusal(raw, message), `${wire}.InvalidArgs`, key);
    }
    assert.is(Object.hasOwn(Object.prototype, 'reverse'), false);
  }));

test('sends no reply to a call that expects none', () =>
  attack(async ({ raw, contexts, served }) => {
    // the bus drops unexpected replies, so what leaves the service is what counts
    const replied: (number | undefined)[] = [];
    const send = served.send.bind(served);
    served.send = (message) => {
      replied.push(message.replySerial);
      return send(message);
    };
    const body = bytesOfBody('aya{sv}', Buffer.of(1), {});
    const quiet = [
      raw.send({ ...echoCall, flags: 1, signature: 'aya{sv}', body }),
      raw.send({ ...echoCall, flags: 1, member: 'No' }),
      raw.send({ ...echoCall, flags: 1, signature: 'h', body: Buffer.alloc(4) }),
      raw.send({ ...methodCall, flags: 1, member: 'Ping' }),
    ];
    await raw.call({ ...methodCall, member: 'Ping' });
    await until(15_000, 'the call', () => contexts.length === 1);
    await raw.call({ ...methodCall, member: 'Ping' });
    assert.is(replied.length, 2);
    assert.equal(
      quiet.filter((serial) => replied.includes(serial)),
      [],
    );
  }));

test('survives callers that disconnect in the middle of a call', () =>
  attack(async ({ rig, contexts }) => {
    const rounds = runs(30);
    for (let round = 0; round < rounds; round++) {
      using leaving = await RawConnection.open(rig.socket);
      const body = Buffer.alloc(8);
      leaving.send({ ...echoCall, member: 'Hang', signature: 'a{sv}', body });
      if (round % 2 === 0) await until(15_000, 'the call', () => contexts.length > round / 2);
    }
  }));

test('survives unknown flags, fields and message types', () =>
  attack(async ({ raw, rig }) => {
    const body = bytesOfBody('aya{sv}', Buffer.of(1), {});
    const echoed = await raw.call({ ...echoCall, flags: 0xf8, signature: 'aya{sv}', body });
    assert.is(echoed.header.type, 2);
    using odd = await RawConnection.open(rig.socket);
    odd.send({ ...echoCall, type: 77 });
    odd.send({ ...methodCall, member: 'Ping' });
    await until(15_000, 'a reply or the end', () => odd.closed || odd.received.length > 1);
  }));

test('survives many concurrent calls, and replies to each', () =>
  attack(async ({ raw }) => {
    const body = bytesOfBody('aya{sv}', Buffer.alloc(32), {});
    const serials = Array.from({ length: 100 }, () =>
      raw.send({ ...echoCall, signature: 'aya{sv}', body }),
    );
    await until(15_000, 'the replies', () => serials.every((serial) => raw.replyTo(serial)));
  }));

test.run();
