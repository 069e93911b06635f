/** The four bundled services, as installed, receive malformed messages; each must be the same process afterwards. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { client } from '../../../src/dbus/client/client.ts';
import { defineInterface } from '../../../src/dbus/definition.ts';
import { variant } from '../../../src/dbus/wire/variant.ts';
import { describe } from '../../../src/interfaces/common.ts';
import { until } from '../../support/deadline.ts';
import { Rig } from '../../support/rig/rig.ts';
import { type ServiceName, services } from '../../support/rig/rig-services.ts';
import { hostileCalls } from '../../support/wire/hostile-messages.ts';
import { bytesOfBody } from '../../support/wire/messages.ts';
import { RawConnection, type RawMessage } from '../../support/wire/raw-connection.ts';

const test = suite<{ rig: Rig }>('dbus hostile messages to the four services');
const names = Object.keys(services) as ServiceName[]; // as the table is typed
const error = 'org.freedesktop.DBus.Error';

test.before(async (context) => {
  context.rig = await Rig.start({ token: false, polkit: false });
});
test.after(({ rig }) => rig[Symbol.asyncDispose]());

/** The description of a service, by its own call. */
async function described(rig: Rig, service: ServiceName): Promise<unknown> {
  const { busName, path, manager } = services[service];
  const own = defineInterface({ name: manager.name, doc: '', methods: { Describe: describe } });
  await using bus = await rig.connect();
  const { json } = await client(bus, { busName, path }, own).Describe({}, { timeoutMs: 60_000 });
  return (JSON.parse(json) as { service: unknown }).service;
}

/** The unique name of the connection of a service. */
async function ownerOf(rig: Rig, service: ServiceName): Promise<string> {
  await using bus = await rig.connect();
  return (await bus.nameOwner(services[service].busName)) ?? '';
}

/** Attacks a running service; it must be the same process afterwards. */
async function attack(
  rig: Rig,
  service: ServiceName,
  body: (raw: RawConnection, call: RawMessage) => Promise<void>,
): Promise<void> {
  assert.is(await described(rig, service), service);
  const owner = await ownerOf(rig, service);
  const pid = await rig.processOf(service);
  assert.type(pid, 'number');
  const { busName: destination, path } = services[service];
  using raw = await RawConnection.open(`${rig.directory}/bus`);
  await body(raw, { type: 1, destination, path, interface: destination, member: 'Describe' });
  assert.is(await described(rig, service), service);
  assert.equal([await rig.processOf(service), await ownerOf(rig, service)], [pid, owner]);
}

async function refusal(raw: RawConnection, message: RawMessage): Promise<string | undefined> {
  const { type, errorName } = (await raw.call(message)).header;
  assert.is(type, 3);
  return errorName;
}

const emptyOptions = { signature: 'a{sv}', body: Buffer.alloc(8) };

for (const service of names) {
  test(`do not end ${service} when they are large, malformed or to an unknown target`, ({ rig }) =>
    attack(rig, service, async (raw, call) => {
      for (const [what, message] of hostileCalls(
        services[service].busName,
        services[service].path,
      )) {
        const { type, errorName = '' } = (await raw.call(message)).header;
        // some buses remove unknown fields, and the call is then an ordinary one
        if (what === 'field' && type === 2) continue;
        assert.match(
          errorName,
          /^org\.freedesktop\.DBus\.Error\.(LimitsExceeded|InvalidArgs)$/,
          what,
        );
      }
      const polluting = new Map([['__proto__', variant('a{sv}', { wait: variant('b', true) })]]);
      const cases: readonly (readonly [Partial<RawMessage>, string])[] = [
        [{ signature: 'h', body: Buffer.alloc(4) }, 'InvalidArgs'],
        [{ signature: 'v', body: Buffer.from('0168000000000000', 'hex') }, 'InvalidArgs'],
        [{ signature: 'a{sv}', body: bytesOfBody('a{sv}', polluting) }, 'InvalidArgs'],
        [{}, 'InvalidArgs'],
        [{ ...emptyOptions, member: 'constructor' }, 'UnknownMethod'],
        [{ ...emptyOptions, interface: 'a.b' }, 'UnknownInterface'],
        [{ ...emptyOptions, path: '/no/where' }, 'UnknownObject'],
      ];
      for (const [fields, code] of cases) {
        assert.is(await refusal(raw, { ...call, ...fields }), `${error}.${code}`, code);
      }
      const echoed = await raw.call({ ...call, ...emptyOptions, flags: 0xf8 });
      assert.is(echoed.header.type, 2, 'unknown flags');
    }));

  test(`do not end ${service} when they are unexpected replies and signals`, ({ rig }) =>
    attack(rig, service, async (raw, call) => {
      const destination = await ownerOf(rig, service);
      const driver = 'org.freedesktop.DBus';
      const changed = { path: `/${driver.replaceAll('.', '/')}`, interface: driver };
      const signal = { type: 4, destination, ...changed, member: 'NameOwnerChanged' };
      const left = bytesOfBody('sss', destination, destination, '');
      raw.send({ ...signal, signature: 'sss', body: left });
      raw.send({ ...signal, signature: 'h', body: Buffer.alloc(4) });
      raw.send({
        ...signal,
        member: 'NameLost',
        signature: 's',
        body: bytesOfBody('s', call.destination),
      });
      for (let replySerial = 1; replySerial < 50; replySerial++) {
        raw.send({
          type: 2,
          destination,
          replySerial,
          signature: 's',
          body: bytesOfBody('s', 'x'),
        });
        raw.send({ type: 3, destination, replySerial, errorName: `${error}.Failed` });
      }
      // callers that have disconnected before their reply
      for (let count = 0; count < 10; count++) {
        using leaving = await RawConnection.open(`${rig.directory}/bus`);
        leaving.send({ ...call, ...emptyOptions });
      }
      const serials = Array.from({ length: 100 }, () => raw.send({ ...call, ...emptyOptions }));
      await until(60_000, 'every reply', () => serials.every((serial) => raw.replyTo(serial)));
      for (const serial of serials) assert.is(raw.replyTo(serial)?.header.type, 2);
    }));
}

test.run();
