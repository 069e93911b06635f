import { type ChildProcess, fork, spawn } from 'node:child_process';
import { verify } from 'node:crypto';
import { once } from 'node:events';
import { chmod, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus } from '../../../src/dbus/bus.ts';
import { Message, messageType } from '../../../src/dbus/message.ts';
import { keyPem } from '../../../src/native/provider.ts';
import { outputOf, runCommand } from '../../support/command.ts';
import { deadline, until } from '../../support/deadline.ts';
import { compileWithKeysClient } from '../../support/keys-client.ts';
import { OpensslRig } from '../../support/openssl-rig.ts';
import { PrivateBus } from '../../support/private-bus.ts';
import type { ProviderAnswer, ProviderTask } from '../../support/provider-process.ts';
import { RawConnection } from '../../support/raw-connection.ts';
import { TestKeys } from '../../support/test-keys.ts';

const test = suite('provider in a process');
const support = (name: string): string =>
  fileURLToPath(new URL(`../../support/${name}`, import.meta.url));

/** A process with the addon, which signs as it is told. */
class Signer implements AsyncDisposable {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(address: string): Promise<Signer> {
    const env = { ...process.env, DBUS_SYSTEM_BUS_ADDRESS: address };
    const signer = new Signer(fork(support('provider-process.js'), { env }));
    await signer.#answer();
    return signer;
  }

  async #answer(): Promise<ProviderAnswer> {
    const answered = new Promise<ProviderAnswer>((resolve) => {
      this.#child.once('message', resolve);
    });
    return deadline(10_000, answered, 'an answer');
  }

  async perform(task: ProviderTask): Promise<string> {
    const answer = this.#answer();
    this.#child.send(task);
    const result = await answer;
    if ('error' in result) throw new Error(result.error);
    return result.done;
  }

  /** Signs and verifies. */
  async sign(keyId: string, spki: Buffer, requestId?: string): Promise<void> {
    const text = `${keyId} ${Math.random()}`;
    const signature = await this.perform({
      kind: 'sign',
      pem: keyPem(keyId, spki, requestId),
      text,
    });
    const key = { key: spki, format: 'der', type: 'spki' } as const;
    assert.ok(verify('sha256', Buffer.from(text), key, Buffer.from(signature, 'hex')));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exit = once(this.#child, 'exit');
    this.#child.disconnect();
    await deadline(10_000, exit, 'the signer to end');
  }
}

/** The connections of a bus. */
async function uniqueNames(bus: Bus): Promise<readonly string[]> {
  const destination = 'org.freedesktop.DBus';
  const call = { destination, path: '/', interface: destination, member: 'ListNames' };
  const [names] = await bus.call(call);
  return Array.isArray(names) ? names.map(String).filter((name) => name.startsWith(':')) : [];
}

async function processOf(bus: Bus, name: string): Promise<number> {
  const [pid] = await bus.callDriver('GetConnectionUnixProcessID', 's', [name]);
  return Number(pid);
}

test('leaves all other cryptography of Node as it was', async () => {
  await outputOf(process.execPath, [support('sanity-process.js')]);
});

test('has one connection, however much it signs', async () => {
  await using bus = await PrivateBus.start();
  const connection = await bus.connect();
  await using keys = await TestKeys.start(connection);
  const { spki } = await keys.create('a', 'ec-p256');
  await using signer = await Signer.start(bus.address);
  const count = async (): Promise<number> => (await uniqueNames(connection)).length;
  const before = await count();
  for (let i = 0; i < 5; i++) await signer.sign('a', spki);
  assert.is(await count(), before + 1);
  assert.is(keys.calls.length, 5);
});

test('notices that the bus was restarted, and signs on the new one', async () => {
  await using bus = await PrivateBus.start();
  const first = await TestKeys.start(await bus.connect());
  const { spki } = await first.create('a', 'ec-p256');
  await using signer = await Signer.start(bus.address);
  await signer.sign('a', spki);
  await bus.kill();
  const failure = await signer.sign('a', spki).catch(String);
  assert.match(String(failure), 'iotedge-keys');

  const daemon = spawn(
    'dbus-daemon',
    `--nofork --nopidfile --nosyslog --print-address --config-file ${bus.directory}/bus.conf`.split(
      ' ',
    ),
  );
  try {
    await deadline(10_000, once(daemon.stdout, 'data'), 'the bus to start');
    await using second = await TestKeys.start(await bus.connect());
    const created = await second.create('a', 'ec-p256');
    await signer.sign('a', created.spki);
    assert.is(second.calls.length, 1);
  } finally {
    const exit = once(daemon, 'exit');
    daemon.kill('SIGKILL');
    await exit;
    await first[Symbol.asyncDispose]();
  }
});

test('gives errors, not crashes, for what is no key', async () => {
  await using bus = await PrivateBus.start();
  await using keys = await TestKeys.start(await bus.connect());
  const { spki } = await keys.create('a', 'ec-p256');
  await using signer = await Signer.start(bus.address);
  const good = keyPem('a', spki);
  assert.is(await signer.perform({ kind: 'context', pem: good }), 'ok');
  const bodies = [
    Buffer.alloc(0),
    Buffer.from([0x30, 0x84, 255, 255, 255, 255]),
    Buffer.alloc(5000, 0x30),
    spki,
  ];
  const pems = [
    ...bodies.map((body) => good.replace(/\n[^]*\n-/, `\n${body.toString('base64')}\n-`)),
    keyPem('../a', spki),
    keyPem('a', spki.subarray(0, 40)),
    keyPem('a', Buffer.alloc(60_000, 1)),
    good.slice(0, 100),
  ];
  for (const pem of pems) {
    const error = await signer.perform({ kind: 'context', pem }).catch(String);
    assert.match(error, 'Error');
  }
  await signer.sign('a', spki);
});

test('passes the id of a request on with the signature, if the key has one', async () => {
  await using bus = await PrivateBus.start();
  await using keys = await TestKeys.start(await bus.connect());
  const { spki } = await keys.create('a', 'rsa-2048');
  await using signer = await Signer.start(bus.address);
  await signer.sign('a', spki, 'the-request');
  await signer.sign('a', spki);
  const [first, second] = keys.requestIds;
  assert.is(first, 'the-request');
  assert.match(second ?? '', /^[0-9a-f-]{36}$/);
  for (const id of ['', 'x'.repeat(65), 'a b', 'a\n', 'a\0', 'ä']) {
    const pem = keyPem('a', spki, id);
    const error = await signer.perform({ kind: 'context', pem }).catch(String);
    assert.match(error, 'Error', JSON.stringify(id));
  }
  const der = Buffer.from(keyPem('a', spki, 'r').split('\n').slice(1, -2).join(''), 'base64');
  const twice = Buffer.concat([der, der.subarray(-5)]);
  twice.writeUInt16BE(twice.readUInt16BE(2) + 5, 2);
  const body = `\n${twice.toString('base64')}\n-`;
  const pem = keyPem('a', spki).replace(/\n[^]*\n-/, body);
  assert.match(await signer.perform({ kind: 'context', pem }).catch(String), 'Error');
});

test('is not stopped by strangers who flood its connection', async () => {
  await using bus = await PrivateBus.start();
  const connection = await bus.connect();
  await using keys = await TestKeys.start(connection);
  const { spki } = await keys.create('a', 'ec-p256');
  await using signer = await Signer.start(bus.address);
  await signer.sign('a', spki);
  const before = await uniqueNames(connection);
  using stranger = await RawConnection.open(bus.socket);
  const signal = { type: 4, flags: 1, path: '/', interface: 'a.b', member: 'C' };
  for (const destination of before) {
    for (let i = 0; i < 2000; i++) stranger.send({ ...signal, destination });
  }
  const driver = 'org.freedesktop.DBus';
  // the bus has passed on everything before it answers
  await stranger.call({
    type: 1,
    destination: driver,
    path: '/',
    interface: driver,
    member: 'GetId',
  });
  await signer.sign('a', spki);
  const after = await uniqueNames(connection);
  const left = before.filter((name) => !after.includes(name));
  assert.is(left.length, 1); // it gave up the connection that was flooded
});

test('keeps nothing of what strangers send while it waits for a signature', async () => {
  await using rig = await OpensslRig.start({ asan: false });
  await rig.keys.create('a', 'ec-p256');
  let release = (): void => undefined;
  rig.keys.before = () => new Promise<void>((resolve) => void (release = resolve));
  const connection = await rig.bus.connect();
  const others = await uniqueNames(connection);
  const sign = ['dgst', '-sha256', '-sign', await rig.keyFile('a'), '-out', 'signature'];
  const signed = rig.openssl(sign, { input: 'a message' });
  await until(10_000, 'the call', () => rig.keys.calls.length > 0);
  const [signer = ''] = (await uniqueNames(connection)).filter((name) => !others.includes(name));
  const signal = { type: messageType.signal, path: '/', interface: 'a.b', member: 'C' };
  const body = [Buffer.alloc(1 << 20)];
  for (let i = 0; i < 64; i++) {
    connection.send(new Message({ ...signal, destination: signer, signature: 'ay', body }));
  }
  // answered when everything before it has been looked at
  const peer = { path: '/', interface: 'org.freedesktop.DBus.Peer', member: 'Ping' };
  await connection.call({ destination: signer, ...peer });
  const pid = await processOf(connection, signer);
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const peakKiB = Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]);
  assert.ok(peakKiB < 48 << 10, `it took ${peakKiB} KiB`);
  release();
  assert.is((await signed).code, 0);
});

test('has no use for the environment of a caller who gains privileges by it', async () => {
  await using bus = await PrivateBus.start();
  await using keys = await TestKeys.start(await bus.connect());
  await keys.create('a', 'ec-p256');
  const program = await compileWithKeysClient('set-uid', bus.directory);
  const env = { DBUS_SYSTEM_BUS_ADDRESS: bus.address };
  const run = () =>
    runCommand('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', program], { env });
  const plain = await run();
  assert.is(plain.code, 0, plain.stderr);
  await chmod(program, 0o4755);
  assert.is((await run()).code, 1);
});

test.run();
