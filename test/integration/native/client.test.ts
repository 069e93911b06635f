/** The provider's client of the Keys service alone, instrumented, with replies that the service does not send. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { outputOf, runCommand } from '../../support/command.ts';
import { until } from '../../support/deadline.ts';
import { OddKeys, type OddReply } from '../../support/keys/odd-keys.ts';
import { compileWithKeysClient } from '../../support/provider/keys-client.ts';
import { PrivateBus } from '../../support/rig/private-bus.ts';

const test = suite<{ keys?: OddKeys }>('client of the Keys service, instrumented');
const instrumented = ['-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'];
let program = '';
let directory = '';

test.before(async (context) => {
  directory = await mkdtemp(`${tmpdir()}/iotedge-client-`);
  program = await compileWithKeysClient('client', directory, ...instrumented);
  context.keys = await OddKeys.start();
});

test.after(async ({ keys }) => {
  await keys?.[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

function of({ keys }: { keys?: OddKeys }): OddKeys {
  if (keys === undefined) throw new Error('the rig was not set up');
  return keys;
}

async function call(address: string, ...words: readonly string[]): Promise<string> {
  const env = { DBUS_SYSTEM_BUS_ADDRESS: address };
  return (await outputOf(program, words, { env })).toString().trim();
}

/** The outcome of a reply to each of the two methods. */
async function afterReply(keys: OddKeys, reply: OddReply): Promise<string> {
  keys.reply = reply;
  const { address } = keys.bus;
  const got = await call(address, '16', 'get', 'a');
  assert.is(await call(address, '16', 'sign', 'a', 'ecdsa-sha256', 'data'), got);
  return got;
}

const other = '0';

for (const [length, outcome] of [
  [0, `${other} Bad message`],
  [1, 'returned 1'],
  [16, 'returned 16'],
  [17, `${other} Message too long`],
  [5000, `${other} Message too long`],
] as const) {
  test(`limits a reply of ${length} bytes to 16`, async (context) => {
    const body = [Buffer.alloc(length, 1)];
    assert.is(await afterReply(of(context), { signature: 'ay', body }), outcome);
  });
}

for (const [signature, body] of [
  ['', []],
  ['s', ['text']],
  ['as', [['text']]],
  ['u', [1]],
  ['ayay', [Buffer.of(1), Buffer.of(2)]],
  ['ays', [Buffer.of(1), 'text']],
] as const) {
  test(`refuses a reply of the type "${signature}"`, async (context) => {
    assert.is(await afterReply(of(context), { signature, body }), `${other} Bad message`);
  });
}

const kinds = {
  accessDenied: 1,
  notFound: 2,
  replaced: 3,
  notSupported: 4,
  unavailable: 5,
  timedOut: 6,
};

for (const [error, message, kind] of [
  ['org.freedesktop.DBus.Error.AccessDenied', 'x', kinds.accessDenied],
  ['org.freedesktop.DBus.Error.InteractiveAuthorizationRequired', 'x', kinds.accessDenied],
  ['org.freedesktop.DBus.Error.NoReply', 'x', kinds.timedOut],
  ['org.freedesktop.DBus.Error.Timeout', 'x', kinds.timedOut],
  ['org.freedesktop.DBus.Error.TimedOut', 'x', kinds.timedOut],
  ['org.freedesktop.DBus.Error.ServiceUnknown', 'x', kinds.unavailable],
  ['org.freedesktop.DBus.Error.NameHasNoOwner', 'x', kinds.unavailable],
  ['org.freedesktop.DBus.Error.LimitsExceeded', 'x', kinds.unavailable],
  ['org.freedesktop.DBus.Error.Disconnected', 'x', kinds.unavailable],
  ['org.freedesktop.DBus.Error.Spawn.ExecFailed', 'x', kinds.unavailable],
  ['org.freedesktop.systemd1.UnitMasked', 'x', kinds.unavailable],
  ['org.iotedge.Error.Unavailable', 'x', kinds.unavailable],
  ['org.iotedge.Error.NotFound', 'no key "a"', kinds.notFound],
  ['org.iotedge.Error.NotFound', 'the key "a" was replaced', kinds.replaced],
  ['org.iotedge.Error.NotSupported', 'the key "a" was replaced', kinds.notSupported],
  ['org.iotedge.Error.NotFound2', 'x', 0],
  ['org.freedesktop.DBus.Error.Failed', 'x', 0],
] as const) {
  test(`maps ${error} to its kind: ${message}`, async (context) => {
    const reply = { error, signature: 's', body: [message] };
    assert.is(await afterReply(of(context), reply), `${kind} ${error}: ${message}`);
  });
}

test('has a text for an error without a message, and truncates a long one', async (context) => {
  const keys = of(context);
  const error = 'org.iotedge.Error.Unavailable';
  assert.is(await afterReply(keys, { error }), `${kinds.unavailable} ${error}:`);
  const long = await afterReply(keys, { error, signature: 's', body: ['x'.repeat(2000)] });
  assert.is(long, `${kinds.unavailable} ${error}: ${'x'.repeat(511 - error.length - 2)}`);
  const hostile = await afterReply(keys, { error, signature: 's', body: ['\u001b[0m\u007f~ é'] });
  assert.is(hostile, `${kinds.unavailable} ${error}: ?[0m?~ ??`);
});

test('sends the digest of the public half and the form of the data with each call of Sign', async (context) => {
  const keys = of(context);
  keys.reply = { signature: 'ay', body: [Buffer.of(1)] };
  keys.calls.length = 0;
  await call(keys.bus.address, '16', 'sign', 'the/key', 'rsa-pss-sha384', 'data');
  await call(keys.bus.address, '16', 'get', 'the/key');
  const [sign, get] = keys.calls;
  assert.equal(
    [sign?.path, sign?.member, sign?.signature],
    ['/org/iotedge/Keys1', 'Sign', 'ssaya{sv}'],
  );
  const [keyId, mechanism, data, options] = sign?.body ?? [];
  assert.equal([keyId, mechanism, String(data)], ['the/key', 'rsa-pss-sha384', 'data']);
  const { public_key: half, ...others } = options as Readonly<Record<string, { value: unknown }>>;
  assert.equal(
    Buffer.from(half?.value as Uint8Array),
    Buffer.from(Array.from({ length: 32 }, (_, i) => i)),
  );
  assert.equal(Object.keys(others), ['prehashed']);
  assert.is(others['prehashed']?.value, true);
  assert.equal([get?.member, get?.signature], ['GetPublicKey', 'sa{sv}']);
  assert.is(JSON.stringify(get?.body), '["the/key",{}]');
});

test('accepts no descriptors from other clients while it waits', async (context) => {
  const keys = of(context);
  const stranger = await compileWithKeysClient('send-descriptors', directory);
  keys.reply = undefined;
  keys.calls.length = 0;
  const outcome = call(keys.bus.address, '16', 'get', 'a');
  await until(10_000, 'the call', () => keys.calls.length === 1);
  const [waiting] = keys.calls;
  if (waiting?.sender === undefined) throw new TypeError('a bus names the sender');
  const { stdout, stderr } = await runCommand(stranger, [keys.bus.address, waiting.sender, '1']);
  assert.is(stdout.toString(), '0\n');
  assert.match(stderr, 'org.freedesktop.DBus.Error.NotSupported');
  keys.respond(waiting, { signature: 'ay', body: [Buffer.of(1)] });
  assert.is(await outcome, 'returned 1');
});

test('reports a missing bus, a missing service, and one that the bus cannot start', async () => {
  const nothing = await call('unix:path=/nonexistent/bus', '16', 'get', 'a');
  assert.is(nothing, `${kinds.unavailable} No such file or directory`);
  await using bus = await PrivateBus.start(
    () => ({ 'org.iotedge.Keys1': '/bin/false' }),
    'dbus-daemon',
  );
  assert.match(
    await call(bus.address, '16', 'get', 'a'),
    /^5 org\.freedesktop\.DBus\.Error\.Spawn\.ChildExited: /,
  );
  await using empty = await PrivateBus.start();
  assert.match(
    await call(empty.address, '16', 'get', 'a'),
    /^5 org\.freedesktop\.DBus\.Error\.ServiceUnknown: /,
  );
});

test.run();
