import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus, BusSignal } from '../../../src/dbus/bus.ts';
import { onSignal } from '../../../src/dbus/client/client.ts';
import type { CallContext } from '../../../src/dbus/server/call.ts';
import { defaultCallLimits } from '../../../src/dbus/server/limits/call-limits.ts';
import { type Variant, variant } from '../../../src/dbus/wire/variant.ts';
import { ServiceError } from '../../../src/errors.ts';
import { connectAs } from '../../support/clients/connect-as.ts';
import { deadline, until } from '../../support/deadline.ts';
import { failureOf } from '../../support/failure.ts';
import { echo, withEcho } from '../../support/wire/echo-rig.ts';
import { echoRemote, echoService } from '../../support/wire/echo-service.ts';

const test = suite('dbus serve');

async function properties(
  bus: Bus,
  member: string,
  body: readonly unknown[],
  path: string = echoService.path,
): Promise<readonly unknown[]> {
  const signature = member === 'GetAll' ? 's' : member === 'Get' ? 'ss' : 'ssv';
  const { busName: destination } = echoService;
  const name = 'org.freedesktop.DBus.Properties';
  return bus.call({ destination, path, interface: name, member, signature, body });
}

const logControl = 'org.freedesktop.LogControl1';
const logPath = '/org/freedesktop/LogControl1';

test('replies to a typed client', () =>
  withEcho(async ({ bus }) => {
    const { answer } = await echo(bus).Echo({ data: Buffer.from('abc') });
    assert.is(answer.toString(), 'abc');
    const options = { reverse: true, note: undefined };
    const reversed = await echo(bus).Echo({ data: Buffer.from('abc'), options });
    assert.is(reversed.answer.toString(), 'cba');
    const { record, records } = await echo(bus).Record({});
    assert.equal([record.name, record.size], ['r', 5n]);
    assert.equal(
      records.map(({ name }) => name),
      ['a', 'b'],
    );
  }));

test('wipes the result of a handler when it is a secret, and nothing else', () =>
  withEcho(async ({ bus, replies }) => {
    const { secret } = await echo(bus).Secret({});
    await echo(bus).Echo({ data: Buffer.from('abc') });
    const [first, second] = replies;
    assert.is(secret.toString('hex'), first?.bytes);
    assert.equal(first?.buffer, Buffer.alloc(32));
    assert.is(second?.buffer.toString(), 'abc');
  }));

const ownId = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

test('accepts a request id from root and trusted callers, and creates one for every other call', () =>
  withEcho(
    async ({ rig, bus, contexts }) => {
      const nobody = { uid: 65_534, gid: 65_534 };
      await using trusted = await connectAs(rig.address, { uid: 1, gid: 1 });
      await using stranger = await connectAs(rig.address, nobody);
      const requestId = 'request-7';
      for (const from of [bus, trusted, stranger]) {
        await echo(from).Echo({ data: Buffer.of() }, { requestId });
        await echo(from).Echo({ data: Buffer.of() });
        const wrong = echo(from).Echo({ data: Buffer.of() }, { requestId: 'a\nb' });
        assert.is(await failureOf(wrong), 'InvalidArgs');
      }
      const uids = contexts.map(({ caller: { uid } }) => uid);
      assert.equal(uids, [0, 0, 1, 1, nobody.uid, nobody.uid]);
      const ids = contexts.map((call) => call.requestId);
      const [byRoot, , byTrusted, , ...byStranger] = ids;
      assert.equal([byRoot, byTrusted], [requestId, requestId]);
      const made = [ids[1], ids[3], ...byStranger];
      for (const id of made) assert.match(id ?? '', ownId);
      assert.is(new Set(made).size, 4, 'each call has one of its own');
      assert.equal(
        contexts.map((call) => call.requestId),
        ids,
        'and preserves it',
      );
    },
    { trustedUids: new Set([1]) },
  ));

test('refuses unknown options, and options of another type', () =>
  withEcho(async ({ bus }) => {
    const { busName: destination, path, manager } = echoService;
    const call = (options: Record<string, Variant>): Promise<readonly unknown[]> => {
      const body = [Buffer.of(1), options];
      const signature = 'aya{sv}';
      return bus.call({
        destination,
        path,
        interface: manager.name,
        member: 'Echo',
        signature,
        body,
      });
    };
    assert.is(await failureOf(call({})), 'no failure');
    assert.is(await failureOf(call({ unknown: variant('b', true) })), 'InvalidArgs');
    assert.is(await failureOf(call({ toString: variant('b', true) })), 'InvalidArgs');
    assert.is(await failureOf(call({ reverse: variant('s', 'yes') })), 'InvalidArgs');
    assert.is(await failureOf(call({ request_id: variant('u', 1) })), 'InvalidArgs');
  }));

test('has its methods at the path and interface of the manager only', () =>
  withEcho(async ({ bus }) => {
    const { busName: destination, path, manager } = echoService;
    const call = (at: string, name: string): Promise<readonly unknown[]> => {
      const about = { destination, member: 'Echo', signature: 'aya{sv}' };
      return bus.call({ ...about, path: at, interface: name, body: [Buffer.of(1), {}] });
    };
    assert.is(await failureOf(call(path, manager.name)), 'no failure');
    assert.is(await failureOf(call(path, 'a.b')), 'UnknownInterface');
    assert.is(await failureOf(call('/no', manager.name)), 'UnknownObject');
  }));

test('validates ids and sizes before it requests authorization', () =>
  withEcho(async ({ bus, questions }) => {
    const big = Buffer.alloc((1 << 20) + 1);
    assert.is(await failureOf(echo(bus).Echo({ data: big })), 'LimitsExceeded');
    assert.is(await failureOf(echo(bus).Guarded({ key_id: '../x' })), 'InvalidArgs');
    assert.is(questions.length, 0);
  }));

test('requests authorization with the details that the table names', () =>
  withEcho(async ({ bus, questions }) => {
    const derivation = Buffer.from('m 1%\0\xff', 'latin1');
    await echo(bus).Guarded({ key_id: 'a', options: { derivation } });
    await echo(bus).Guarded({ key_id: 'b', options: { exportable: true } });
    await echo(bus).Resolved({ key_id: 'c' });
    assert.equal(questions, [
      {
        action: 'org.iotedge.echo1.use',
        details: { key_id: 'a', derivation: 'm%201%25%00%FF', exportable: 'false' },
      },
      {
        action: 'org.iotedge.echo1.use',
        details: { key_id: 'b', derivation: '', exportable: 'true' },
      },
      { action: 'org.iotedge.echo1.use', details: { owner: 'owner of c' } },
      { action: 'org.iotedge.echo1.second', details: { key_id: 'c' } },
    ]);
  }));

const refusals: readonly (readonly [string, () => Promise<void> | undefined])[] = [
  [
    'at once',
    () => {
      throw new ServiceError('AccessDenied', 'no');
    },
  ],
  ['later', () => Promise.reject(new ServiceError('AccessDenied', 'no'))],
];
for (const [when, refuse] of refusals) {
  test(`calls no handler when authorization is refused ${when}`, () =>
    withEcho(
      async ({ bus, questions, server }) => {
        assert.is(await failureOf(echo(bus).Guarded({ key_id: 'a' })), 'AccessDenied');
        assert.is(await failureOf(echo(bus).Resolved({ key_id: 'a' })), 'AccessDenied');
        assert.is(questions.length, 2);
        assert.is(server.pendingCalls, 0);
      },
      { authorize: refuse },
    ));
}

test('passes the flag for interactive authorization to the authorizer', () => {
  const interactive: boolean[] = [];
  const authorize = (_: unknown, call: CallContext): undefined => {
    interactive.push(call.interactive);
  };
  return withEcho(
    async ({ bus }) => {
      await echo(bus).Guarded({ key_id: 'a' });
      await echo(bus).Guarded({ key_id: 'a' }, { interactive: true });
      assert.equal(interactive, [false, true]);
    },
    { authorize },
  );
});

test('reports only "internal error" for an unexpected error', () =>
  withEcho(async ({ bus, failures }) => {
    const wanted: readonly (readonly [string, string])[] = [
      ['undefined', 'Failed'],
      ['null', 'Failed'],
      ['text', 'Failed'],
      ['error', 'Failed'],
      ['type', 'Failed'],
      ['cyclic', 'Failed'],
      ['internal', 'Failed'],
      ['known', 'NotFound'],
      ['nul', 'Unavailable'],
    ];
    for (const [way, code] of wanted.flatMap(
      ([w, c]) =>
        [
          [w, c],
          [`later-${w}`, c],
        ] as const,
    )) {
      const error: unknown = await echo(bus)
        .Fail({ way })
        .catch((e: unknown) => e);
      assert.instance(error, ServiceError);
      assert.is((error as ServiceError).code, code, way);
      assert.not.match((error as ServiceError).message, 'secret');
    }
    assert.is(failures.length, 2 * wanted.length);
  }));

test('audits an error that the table does not declare, and passes it on', () =>
  withEcho(async ({ bus, undeclared }) => {
    const codeOf = (way: string) => failureOf(echo(bus).Fail({ way }));
    for (const way of ['known', 'later-known', 'error', 'internal', 'later-text'])
      assert.ok(['NotFound', 'Failed'].includes(await codeOf(way)), way);
    assert.equal(undeclared, []);
    assert.is(await codeOf('nul'), 'Unavailable');
    assert.is(await codeOf('later-nul'), 'Unavailable');
    const codes = undeclared.map((error) => error instanceof ServiceError && error.code);
    assert.equal(codes, ['Unavailable', 'Unavailable']);
  }));

test('aborts the call of a caller that disconnects, and stops counting it', () =>
  withEcho(async ({ rig, contexts, server, bus }) => {
    const leaving = await rig.connect();
    const hanging = failureOf(echo(leaving).Hang({}));
    await until(15_000, 'the call', () => contexts.length === 1);
    assert.is(server.pendingCalls, 1);
    await leaving.close();
    assert.is(await hanging, 'Unavailable');
    await until(15_000, 'the call to end', () => server.pendingCalls === 0);
    assert.is(contexts[0]?.signal.aborted, true);
    await echo(bus).Echo({ data: Buffer.of() });
  }));

test('aborts every running call on request, and still replies to them', () =>
  withEcho(async ({ bus, contexts, server }) => {
    const hanging = failureOf(echo(bus).Hang({}));
    await until(15_000, 'the call', () => contexts.length === 1);
    server.abandonCalls();
    assert.is(await deadline(15_000, hanging, 'the reply'), 'Cancelled');
  }));

const uidLimits = { active: 3, parked: 3, parkedBytes: 8192, queued: 3, queuedBytes: 8192 };
/** Small, and the same for root, as which these tests may run. */
const smallLimits = { ...defaultCallLimits, perUid: uidLimits, trusted: uidLimits };

test('limits the calls of one uid over all its connections', () =>
  withEcho(
    async ({ rig, bus, contexts, server }) => {
      await using other = await rig.connect();
      const calls = [bus, other, bus, other, bus, bus].map((from) =>
        failureOf(echo(from).Hang({})),
      );
      await until(15_000, 'the calls', () => server.pendingCalls === 6 && contexts.length > 0);
      assert.is(contexts.length, 3, 'the others wait');
      assert.is(await failureOf(echo(other).Guarded({ key_id: 'a' })), 'LimitsExceeded');
      assert.is(
        await failureOf(properties(other, 'GetAll', [logControl], logPath)),
        'LimitsExceeded',
      );
      server.abandonCalls();
      const outcomes = await deadline(15_000, Promise.all(calls), 'the replies');
      assert.equal(outcomes.toSorted().slice(0, 3), ['Cancelled', 'Cancelled', 'Cancelled']);
      assert.is(await failureOf(echo(other).Guarded({ key_id: 'a' })), 'no failure');
    },
    { limits: smallLimits },
  ));

test('serves reads and cancellations for a uid whose calls wait, for operations and for authorization', () =>
  withEcho(
    async ({ rig, bus, contexts, server }) => {
      // a connection of the client has at most fifty calls pending to one peer
      const others = await Promise.all([rig.connect(), rig.connect(), rig.connect()]);
      const waiting = [bus, ...others].flatMap((from) =>
        Array.from({ length: 25 }, () => [
          failureOf(echo(from).Wait({})),
          failureOf(echo(from).Guarded({ key_id: 'a' })),
        ]).flat(),
      );
      await using third = await rig.connect();
      await until(15_000, 'the calls', () => contexts.length === 100);
      for (let count = 0; count < 10; count++) {
        assert.is(await failureOf(echo(third).Echo({ data: Buffer.of(1) })), 'no failure');
        await properties(third, 'GetAll', [logControl], logPath);
      }
      server.abandonCalls();
      const outcomes = await deadline(15_000, Promise.all(waiting), 'the replies');
      assert.equal([...new Set(outcomes)], ['Cancelled']);
      await Promise.all(others.map((other) => other.close()));
    },
    { authorize: (_question, call) => aborted(call.signal) },
  ));

/** Rejects when a call is aborted, and never resolves. */
function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(new ServiceError('Cancelled', 'given up')));
  });
}

test('refuses calls that are queued beyond their limit, and continues', () =>
  withEcho(
    async ({ bus, contexts, server }) => {
      const waiting = [1, 2, 3].map(() => failureOf(echo(bus).Wait({})));
      await until(15_000, 'the calls', () => contexts.length === 3);
      assert.is(await failureOf(echo(bus).Wait({})), 'LimitsExceeded');
      assert.is(contexts.length, 3, 'nothing was begun');
      assert.is(await failureOf(echo(bus).Echo({ data: Buffer.of(1) })), 'no failure');
      server.abandonCalls();
      await deadline(15_000, Promise.all(waiting), 'the replies');
      await until(15_000, 'the calls to end', () => server.pendingCalls === 0);
    },
    { limits: smallLimits },
  ));

test('limits the queued bytes of one uid', () =>
  withEcho(
    async ({ bus, server }) => {
      const hanging = [1, 2, 3].map(() => failureOf(echo(bus).Hang({})));
      await until(15_000, 'the calls', () => server.pendingCalls === 3);
      const small = failureOf(echo(bus).Echo({ data: Buffer.alloc(1) }));
      assert.is(await failureOf(echo(bus).Echo({ data: Buffer.alloc(10_000) })), 'LimitsExceeded');
      server.abandonCalls();
      await deadline(15_000, Promise.all([...hanging, small]), 'the replies');
      assert.is(await failureOf(echo(bus).Echo({ data: Buffer.alloc(10_000) })), 'no failure');
    },
    { limits: smallLimits },
  ));

/** The largest number of concurrent calls, sampled in every iteration of the event loop. */
class MostCalls implements Disposable {
  count = 0;
  #next: NodeJS.Immediate | undefined;

  constructor(server: { readonly pendingCalls: number }) {
    const look = (): void => {
      this.count = Math.max(this.count, server.pendingCalls);
      this.#next = setImmediate(look);
    };
    look();
  }

  [Symbol.dispose](): void {
    clearImmediate(this.#next);
  }
}

test('limits the calls of one connection before it is identified', () =>
  withEcho(
    async ({ rig, server }) => {
      using most = new MostCalls(server);
      // on a busy machine the calls may arrive one by one, and be over before the next is looked for
      await until(15_000, 'a connection whose calls run side by side', async () => {
        await using stranger = await rig.connect();
        const calls = Array.from({ length: 100 }, () =>
          failureOf(echo(stranger).Echo({ data: Buffer.alloc(100) })),
        );
        const outcomes = new Set(await Promise.all(calls));
        assert.equal([...outcomes].sort(), ['LimitsExceeded', 'no failure']);
        return most.count > 1;
      });
      assert.ok(most.count <= 20, `${most.count} calls were running`);
    },
    {
      limits: {
        ...defaultCallLimits,
        unidentified: { calls: 10, bytes: 4096, totalBytes: 8192, reservedBytes: 0 },
      },
    },
  ));

test('counts a call while the credentials of its caller are being queried', () =>
  withEcho(async ({ bus, server }) => {
    using most = new MostCalls(server);
    await echo(bus).Echo({ data: Buffer.of() });
    assert.is(most.count, 1);
    await until(15_000, 'the call to end', () => server.pendingCalls === 0);
  }));

test('replies to calls that came in before the name was released, then disconnects', () =>
  withEcho(async ({ rig, server, served }) => {
    const callers = await Promise.all(Array.from({ length: 20 }, () => rig.connect()));
    const results = callers.map((from) => failureOf(echo(from).Echo({ data: Buffer.of(1) })));
    // the bus has every call when it replies to one that was sent later on the same connection
    await Promise.all(callers.map((from) => from.nameOwner('a.b')));
    await served.releaseName(echoService.busName);
    await until(15_000, 'the last call', () => server.pendingCalls === 0);
    await served.close();
    assert.equal([...new Set(await Promise.all(results))], ['no failure']);
    await Promise.all(callers.map((from) => from.close()));
  }));

test('returns properties and refuses to set them', () =>
  withEcho(async ({ bus, objects: shown }) => {
    const name = echoService.manager.name;
    const [version] = await properties(bus, 'Get', [name, 'Version']);
    assert.equal(version, variant('s', '1'));
    const [all] = await properties(bus, 'GetAll', [name]);
    assert.equal(Object.keys(all as object), ['Version', 'Health', 'LastError', 'Quiet']);
    assert.is(await failureOf(properties(bus, 'Get', [name, 'No'])), 'UnknownProperty');
    assert.is(await failureOf(properties(bus, 'Get', [name, '__proto__'])), 'UnknownProperty');
    assert.is(await failureOf(properties(bus, 'Get', ['a.b', 'Version'])), 'UnknownInterface');
    assert.is(await failureOf(properties(bus, 'GetAll', ['a.b'])), 'UnknownInterface');
    assert.equal(await properties(bus, 'GetAll', ['']), [all]);
    assert.equal(await properties(bus, 'Get', ['', 'Version']), [variant('s', '1')]);
    assert.is(await failureOf(properties(bus, 'Get', ['', 'Nothing'])), 'UnknownProperty');
    assert.is(await failureOf(properties(bus, 'Get', [name, 'Version'], '/no')), 'UnknownObject');
    const set = [name, 'Health', variant('s', 'hacked')];
    assert.is(await failureOf(properties(bus, 'Set', set)), 'PropertyReadOnly');
    const absent = [name, 'No', variant('s', 'x')];
    assert.is(await failureOf(properties(bus, 'Set', absent)), 'UnknownProperty');
    shown.setProperties({ Health: 'degraded' });
    const [health] = await properties(bus, 'Get', [name, 'Health']);
    assert.equal(health, variant('s', 'degraded'));
  }));

test('lets its own uid set the log level, of the right type, and no other', () =>
  withEcho(async ({ bus, rig, logControl: control }) => {
    await properties(bus, 'Set', [logControl, 'LogLevel', variant('s', 'debug')], logPath);
    assert.is(control.level, 'debug');
    const [level] = await properties(bus, 'Get', [logControl, 'LogLevel'], logPath);
    assert.equal(level, variant('s', 'debug'));
    const wrong = [logControl, 'LogLevel', variant('u', 7)];
    assert.is(await failureOf(properties(bus, 'Set', wrong, logPath)), 'InvalidArgs');
    const fixed = [logControl, 'SyslogIdentifier', variant('s', 'x')];
    assert.is(await failureOf(properties(bus, 'Set', fixed, logPath)), 'PropertyReadOnly');
    const stranger = [
      'set-property',
      echoService.busName,
      logPath,
      logControl,
      'LogLevel',
      's',
      'err',
    ];
    const { code, stderr } = await rig.busctlAs(65534, ...stranger);
    assert.is.not(code, 0);
    assert.match(stderr, /denied/);
    assert.is(control.level, 'debug');
  }));

test('announces changed properties according to their declaration', () =>
  withEcho(async ({ bus, objects: shown }) => {
    const received: BusSignal[] = [];
    const match = { sender: echoService.busName, member: 'PropertiesChanged' };
    await bus.subscribe(match, (signal) => void received.push(signal));
    shown.setProperties({ Quiet: 1 });
    shown.setProperties({ Health: 'ok' });
    shown.setProperties({ Health: 'degraded', LastError: 'why', Version: '2', Quiet: 2 });
    await echo(bus).Echo({ data: Buffer.of() });
    assert.is(received.length, 1);
    const [name, changed, invalidated] = received[0]?.body ?? [];
    assert.is(name, echoService.manager.name);
    assert.equal(Object.entries(changed as object), [['Health', variant('s', 'degraded')]]);
    // a property that never changes on one object has changed nevertheless: no client may use the old value
    assert.equal(invalidated, ['LastError', 'Version']);
  }));

test('manages child objects and announces added and removed ones', () =>
  withEcho(async ({ bus, objects: shown }) => {
    const received: (readonly [string, unknown])[] = [];
    const manager = { sender: echoService.busName, path: echoService.path };
    await bus.subscribe({ ...manager, interface: 'org.freedesktop.DBus.ObjectManager' }, (signal) =>
      received.push([signal.member, signal.body[0]]),
    );
    const path = `${echoService.path}/thing/device_2did`;
    assert.is(shown.pathOf('device-id'), path);
    shown.put('device-id', { Name: 'device-id', Size: 1n });
    shown.update('device-id', { Size: 2n });
    const { busName: destination, path: root } = echoService;
    const objectManager = 'org.freedesktop.DBus.ObjectManager';
    const call = { destination, interface: objectManager, member: 'GetManagedObjects' };
    const [objects] = await bus.call({ ...call, path: root });
    assert.equal(Object.keys(objects as object), [path]);
    assert.is(await failureOf(bus.call({ ...call, path })), 'UnknownInterface');
    const [size] = await properties(bus, 'Get', ['org.iotedge.Echo1.Thing', 'Size'], path);
    assert.equal(size, variant('t', 2n));
    shown.remove('device-id');
    shown.remove('device-id');
    const gone = properties(bus, 'Get', ['org.iotedge.Echo1.Thing', 'Size'], path);
    assert.is(await failureOf(gone), 'UnknownObject');
    assert.equal(received, [
      ['InterfacesAdded', path],
      ['InterfacesRemoved', path],
    ]);
  }));

test('shows its objects even when a text in them is not valid on the bus', () =>
  withEcho(async ({ bus, objects: shown }) => {
    shown.put('odd', { Name: 'a\0b', Size: 1n });
    shown.setProperties({ Health: 'x\0' });
    const [all] = await properties(bus, 'GetAll', ['org.iotedge.Echo1']);
    assert.is((all as Record<string, Variant>)['Health']?.value, 'x\ufffd');
    const path = shown.pathOf('odd');
    const [name] = await properties(bus, 'Get', ['org.iotedge.Echo1.Thing', 'Name'], path);
    assert.is((name as Variant).value, 'a\ufffdb');
  }));

test('sends its signals to subscribers', () =>
  withEcho(async ({ bus, objects: shown }) => {
    const received: BusSignal[] = [];
    await onSignal(bus, echoRemote, {
      definition: echoService.manager,
      member: 'Happened',
      listener: (signal) => void received.push(signal),
    });
    shown.emit('Happened', { what: 'it', at: 5n });
    await until(15_000, 'the signal', () => received.length === 1);
    assert.equal(received[0]?.body, ['it', 5n]);
    assert.is(received[0]?.signature, 'st');
  }));

test('describes itself', () =>
  withEcho(async ({ bus, objects: shown }) => {
    shown.put('a', { Name: 'a', Size: 7n });
    const { json } = await echo(bus).Describe({});
    const described: unknown = JSON.parse(json);
    assert.equal(described, {
      service: 'echo',
      version: '1',
      health: 'ok',
      last_error: '',
      properties: { Quiet: 0 },
      objects: { a: { Name: 'a', Size: 7 } },
    });
  }));

test('shows argument names, properties and signals to busctl', () =>
  withEcho(async ({ rig, objects }) => {
    objects.put('device-id', { Name: 'device-id', Size: 1n });
    const { busName, path, manager } = echoService;
    const tree = await rig.busctl('tree', '--list', busName);
    const nodes = tree.stdout.split('\n').filter((line) => line !== '');
    assert.equal(nodes, [
      '/',
      '/org',
      '/org/freedesktop',
      logPath,
      '/org/iotedge',
      path,
      `${path}/thing`,
      `${path}/thing/device_2did`,
    ]);
    const shown = await rig.busctl('introspect', busName, path);
    assert.is(shown.code, 0);
    assert.match(shown.stdout, /\.Echo +method +aya\{sv\} +ay/);
    assert.match(shown.stdout, /\.Health +property +s +"ok" +emits-change/);
    assert.match(shown.stdout, /\.Version +property +s +"1" +const/);
    assert.match(shown.stdout, /\.Happened +signal +st/);
    for (const standard of ['Peer', 'Introspectable', 'Properties', 'ObjectManager']) {
      assert.match(shown.stdout, `org.freedesktop.DBus.${standard}`);
    }
    const xml = await rig.busctl('introspect', '--xml-interface', busName, path);
    assert.match(xml.stdout, '<arg name="data" type="ay" direction="in"');
    assert.match(xml.stdout, '<arg name="options" type="a{sv}" direction="in"');
    assert.match(xml.stdout, `<interface name="${manager.name}">`);
    const log = await rig.busctl('introspect', busName, logPath, logControl);
    assert.match(log.stdout, /\.LogLevel +property +s +"info" +writable/);
  }));

test('replies to Peer at any path', () =>
  withEcho(async ({ rig }) => {
    const { busName, path } = echoService;
    const peer = 'org.freedesktop.DBus.Peer';
    for (const at of [path, '/', '/org', '/nowhere/at/all']) {
      assert.is((await rig.busctl('call', busName, at, peer, 'Ping')).code, 0, at);
    }
    const { code, stdout, stderr } = await rig.busctl('call', busName, path, peer, 'GetMachineId');
    assert.match(code === 0 ? stdout : stderr, /^s "[0-9a-f]{32}"|machine id/);
  }));

test.run();
