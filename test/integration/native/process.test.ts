import { type ChildProcess, fork } from 'node:child_process';
import { verify } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus } from '../../../src/dbus/bus.ts';
import { Message, messageType } from '../../../src/dbus/wire/message.ts';
import { keyPem } from '../../../src/native/provider.ts';
import { outputOf, runCommand } from '../../support/command.ts';
import { deadline, until } from '../../support/deadline.ts';
import { ServedKeys } from '../../support/keys/served-keys.ts';
import { compileWithKeysClient } from '../../support/provider/keys-client.ts';
import { OpensslRig } from '../../support/provider/openssl-rig.ts';
import type { ProviderReply, ProviderTask } from '../../support/provider/provider-process.ts';
import { RawConnection } from '../../support/wire/raw-connection.ts';

const test = suite<{ keys?: ServedKeys }>('provider in a process');
const support = (name: string): string =>
  fileURLToPath(new URL(`../../support/provider/${name}`, import.meta.url));

test.before(async (context) => {
  context.keys = await ServedKeys.start();
  await context.keys.create('a', 'ec-p256');
});

test.after(({ keys }) => keys?.[Symbol.asyncDispose]());

test.before.each(({ keys }) => keys?.calls.clear());

function of({ keys }: { keys?: ServedKeys }): ServedKeys {
  if (keys === undefined) throw new Error('the rig was not set up');
  return keys;
}

/** A process with the addon, which signs on request. */
class Signer implements AsyncDisposable {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(address: string): Promise<Signer> {
    const env = { ...process.env, DBUS_SYSTEM_BUS_ADDRESS: address };
    const signer = new Signer(fork(support('provider-process.js'), { env }));
    await signer.#nextReply();
    return signer;
  }

  async #nextReply(): Promise<ProviderReply> {
    const pending = new Promise<ProviderReply>((resolve) => {
      this.#child.once('message', resolve);
    });
    return deadline(10_000, pending, 'a reply');
  }

  async perform(task: ProviderTask): Promise<string> {
    const reply = this.#nextReply();
    this.#child.send(task);
    const result = await reply;
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

/** The unique names on a bus. */
async function uniqueNames(bus: Bus): Promise<readonly string[]> {
  const destination = 'org.freedesktop.DBus';
  const call = { destination, path: '/', interface: destination, member: 'ListNames' };
  const [names] = await bus.call(call);
  return Array.isArray(names) ? names.map(String).filter((name) => name.startsWith(':')) : [];
}

test('does not affect other cryptography of Node', async () => {
  await outputOf(process.execPath, [support('sanity-process.js')]);
});

test('has one connection, however much it signs', async (context) => {
  const keys = of(context);
  const { spki } = keys.get('a');
  await using signer = await Signer.start(keys.address);
  const count = async (): Promise<number> => (await uniqueNames(keys.bus)).length;
  const before = await count();
  for (let i = 0; i < 5; i++) await signer.sign('a', spki);
  assert.is(await count(), before + 1);
  assert.is((await keys.calls.all()).length, 5);
});

test('detects that the bus was restarted, and signs on the new one', async () => {
  await using keys = await ServedKeys.start({ bus: 'dbus-daemon' });
  const { spki } = await keys.create('a', 'ec-p256');
  await using signer = await Signer.start(keys.address);
  await signer.sign('a', spki);
  await keys.rig.stopBus();
  await keys.rig.startBus();
  await signer.sign('a', spki); // it was lost while the signer was idle
  await keys.rig.stopBus();
  const failure = await signer.sign('a', spki).catch(String);
  assert.match(String(failure), 'iotedge-keys');
  await keys.rig.startBus();
  await signer.sign('a', spki);
});

test('throws errors, without crashing, for invalid keys', async (context) => {
  const keys = of(context);
  const { spki } = keys.get('a');
  await using signer = await Signer.start(keys.address);
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

test('passes on the request id of a key, if it has one', async (context) => {
  const keys = of(context);
  const { spki } = await keys.create('b', 'rsa-2048'); // the service logs the first signature of each key
  await using signer = await Signer.start(keys.address);
  await signer.sign('b', spki, 'the-request');
  await signer.sign('b', spki);
  const ids = (await keys.calls.all()).map(({ requestId }) => requestId);
  assert.equal(ids, ['the-request', undefined]);
  assert.match(await keys.rig.log('keys'), 'the-request');
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

test('is not blocked by other clients that flood its connection', async (context) => {
  const keys = of(context);
  const { spki } = keys.get('a');
  await using signer = await Signer.start(keys.address);
  await signer.sign('a', spki);
  const before = await uniqueNames(keys.bus);
  using stranger = await RawConnection.open(join(keys.rig.directory, 'bus'));
  const signal = { type: 4, flags: 1, path: '/', interface: 'a.b', member: 'C' };
  for (const destination of before) {
    for (let i = 0; i < 2000; i++) stranger.send({ ...signal, destination });
  }
  const driver = 'org.freedesktop.DBus';
  // the bus has forwarded everything before it replies
  await stranger.call({
    type: 1,
    destination: driver,
    path: '/',
    interface: driver,
    member: 'GetId',
  });
  await signer.sign('a', spki);
  const after = await uniqueNames(keys.bus);
  const left = before.filter((name) => !after.includes(name));
  assert.is(left.length, 1); // it gave up the flooded connection
});

/** Runs a program and prints its maximum resident memory in KiB. */
const measured = `
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
`;

test('stores nothing of the messages of other clients while it waits for a signature', async () => {
  await using rig = await OpensslRig.start({ asan: false });
  const { keys } = rig;
  await keys.create('a', 'ec-p256');
  const pause = await keys.pause();
  const others = await uniqueNames(keys.bus);
  const sign = ['dgst', '-sha256', '-sign', await rig.keyFile('a'), '-out', 'signature'];
  const signed = rig.run('python3', ['-c', measured, 'openssl', ...sign], { input: 'a message' });
  await until(10_000, 'the call', async () => (await keys.calls.all()).length > 0);
  const [signer = ''] = (await uniqueNames(keys.bus)).filter((name) => !others.includes(name));
  const signal = { type: messageType.signal, path: '/', interface: 'a.b', member: 'C' };
  const body = [Buffer.alloc(1 << 20)];
  for (let i = 0; i < 64; i++) {
    keys.bus.send(new Message({ ...signal, destination: signer, signature: 'ay', body }));
  }
  await keys.bus.nameOwner(signer); // the bus has forwarded them: the signature comes after them
  pause[Symbol.dispose]();
  const { code, stdout, stderr } = await signed;
  assert.is(code, 0, stderr);
  const peakKiB = Number(stdout.toString());
  assert.ok(peakKiB > 1 << 10 && peakKiB < 48 << 10, `it took ${peakKiB} KiB`);
});

test('ignores the environment of a caller that gains privileges', async (context) => {
  const keys = of(context);
  const directory = await mkdtemp(join(tmpdir(), 'iotedge-set-uid-'));
  const program = await compileWithKeysClient('set-uid', directory);
  await chmod(directory, 0o755); // another user runs it
  const env = { DBUS_SYSTEM_BUS_ADDRESS: keys.address };
  const run = () =>
    runCommand('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', program], { env });
  const plain = await run();
  assert.is(plain.code, 0, plain.stderr);
  await chmod(program, 0o4755);
  assert.is((await run()).code, 1);
  await rm(directory, { recursive: true });
});

test.run();
