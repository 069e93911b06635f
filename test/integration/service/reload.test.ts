import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus } from '../../../src/dbus/bus.ts';
import { Variant } from '../../../src/dbus/wire/variant.ts';
import { readConfigFiles } from '../../../src/service/config/config-files.ts';
import { connectAs } from '../../support/clients/connect-as.ts';
import { deadline, until } from '../../support/deadline.ts';
import { PrivateBus } from '../../support/rig/private-bus.ts';
import { NotifySocket } from '../../support/system/notify-socket.ts';

const test = suite<{ dir: string; privateBus: PrivateBus; bus: Bus }>('reload of a service');

const busName = 'org.iotedge.Probe1';
const path = '/org/iotedge/Probe1';
const program = join(import.meta.dirname, 'probe-service.js');

/** The probe, started with its configuration in a file. */
class Probe implements AsyncDisposable {
  readonly #dir: string;
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;
  readonly #bus: Bus;
  stderr = '';

  private constructor(dir: string, bus: Bus, environment: NodeJS.ProcessEnv) {
    this.#dir = dir;
    this.#bus = bus;
    const args = [program, '--config-dir', dir, '--state-dir', join(dir, 'state')];
    const env = { ...process.env, PROBE_NOTES: join(dir, 'notes'), ...environment };
    this.#child = spawn(process.execPath, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
    this.#child.stderr?.on('data', (chunk) => (this.stderr += String(chunk)));
    this.#closed = once(this.#child, 'close');
  }

  static async start(
    { dir, bus, privateBus }: { dir: string; bus: Bus; privateBus: PrivateBus },
    yaml: string,
    environment: NodeJS.ProcessEnv = {},
  ): Promise<Probe> {
    await writeFile(join(dir, 'probe.yaml'), yaml);
    const address = { DBUS_SYSTEM_BUS_ADDRESS: privateBus.address };
    const probe = new Probe(dir, bus, { ...address, ...environment });
    await until(20_000, 'the service', async () => (await bus.nameOwner(busName)) !== undefined);
    return probe;
  }

  /** Writes another configuration and requests a reload, without waiting for it. */
  async configure(yaml: string): Promise<void> {
    // as editors do: a concurrent reload reads one of the two
    await writeFile(join(this.#dir, 'next'), yaml);
    await rename(join(this.#dir, 'next'), join(this.#dir, 'probe.yaml'));
    this.#child.kill('SIGHUP');
  }

  /** Like `configure`, and waits until the log reports the outcome. */
  async reload(yaml: string): Promise<void> {
    const before = this.outcomes;
    await this.configure(yaml);
    await until(20_000, 'the reload', () => Promise.resolve(this.outcomes > before));
  }

  /** The number of reloads in the log, which is opened a second after the start. */
  get outcomes(): number {
    return this.stderr.match(/> ?configuration (not )?reloaded/g)?.length ?? 0;
  }

  greet(bus = this.#bus, ms = 0): Promise<unknown> {
    return callOn(bus, 'Greet', 'u', [ms]).then(([greeting]) => greeting);
  }

  async properties(): Promise<{ readonly health: unknown; readonly lastError: string }> {
    const get = async (name: string): Promise<unknown> => {
      const properties = 'org.freedesktop.DBus.Properties';
      const target = { destination: busName, path, interface: properties, member: 'Get' };
      const [value] = await this.#bus.call({ ...target, signature: 'ss', body: [busName, name] });
      return value instanceof Variant ? value.value : value;
    };
    return { health: await get('Health'), lastError: String(await get('LastError')) };
  }

  async stop(): Promise<number | null> {
    this.#child.kill('SIGTERM');
    await deadline(20_000, this.#closed, 'the service to end');
    return this.#child.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await deadline(20_000, this.#closed, 'the service to end');
  }
}

function callOn(
  bus: Bus,
  member: string,
  signature: string,
  body: readonly unknown[],
): Promise<readonly unknown[]> {
  const target = { destination: busName, path, interface: busName, member };
  return bus.call({ ...target, signature: `${signature}a{sv}`, body: [...body, {}] });
}

test.before.each(async (context) => {
  context.dir = await mkdtemp(join(tmpdir(), 'service-reload-'));
  context.privateBus = await PrivateBus.start();
  context.bus = await context.privateBus.connect();
});
test.after.each(async ({ dir, privateBus, bus }) => {
  await bus.close();
  await privateBus[Symbol.asyncDispose]();
  await rm(dir, { recursive: true });
});

test('applies a valid configuration to later calls, and completes earlier ones with the previous one', async (context) => {
  await using probe = await Probe.start(context, 'greeting: old\n');
  const before = probe.greet(context.bus, 2000);
  await until(10_000, 'the call', async () => {
    return (await readFile(join(context.dir, 'notes'), 'utf8')).includes('greet');
  });
  await probe.reload('greeting: new\n');
  assert.is(await probe.greet(), 'new');
  assert.not.match(await readFile(join(context.dir, 'notes'), 'utf8'), 'retired');
  assert.is(await before, 'old');
  await until(10_000, 'what was replaced to be closed', async () => {
    return (await readFile(join(context.dir, 'notes'), 'utf8')).includes('retired');
  });
  assert.is(await probe.stop(), 0);
});

test('loses no call during repeated reloads', async (context) => {
  await using probe = await Probe.start(context, 'greeting: a\n');
  const replies: Promise<unknown>[] = [];
  for (let turn = 0; turn < 20; turn++) {
    for (let at = 0; at < 10; at++) replies.push(probe.greet(context.bus, at));
    await probe.configure(`greeting: ${turn % 2 === 0 ? 'b' : 'a'}\n`);
  }
  const greetings = await deadline(20_000, Promise.all(replies), 'the replies');
  assert.ok(greetings.every((one) => one === 'a' || one === 'b'));
  assert.is(await probe.stop(), 0);
});

test('refuses an invalid configuration as a whole, and reports it until there is a valid one', async (context) => {
  await using probe = await Probe.start(context, 'greeting: old\n');
  await probe.reload('greeting: new\nlog_levl: debug\nidle_exit_s: never\n');
  assert.is(await probe.greet(), 'old');
  const refused = await probe.properties();
  assert.is(refused.health, 'degraded');
  assert.match(refused.lastError, /probe\.yaml:2:1: unknown key "log_levl".* \(and 1 more\)$/);
  assert.match(probe.stderr, /<3>invalid configuration .*line=2/);
  assert.match(probe.stderr, /<3>invalid configuration .*line=3/);
  await probe.reload('greeting: impossible\n');
  assert.is(await probe.greet(), 'old');
  assert.match((await probe.properties()).lastError, 'nobody can say that');
  await probe.reload('greeting: new\n');
  assert.is(await probe.greet(), 'new');
  assert.equal(await probe.properties(), { health: 'ok', lastError: '' });
});

test('describes the configuration in force: root learns its digest, everybody when it was loaded', async (context) => {
  const { dir, bus } = context;
  await using probe = await Probe.start(context, 'greeting: old\n');
  await using daemon = await connectAs(context.privateBus.address, { uid: 1, gid: 1 });
  const onDisk = async (): Promise<string> => (await readConfigFiles(dir, 'probe')).digest;
  const configuration = async (of: Bus) => {
    const [json] = await callOn(of, 'Describe', '', []);
    const described = JSON.parse(String(json)) as {
      readonly configuration: { readonly digest?: string; readonly loaded_at: number };
    };
    return described.configuration;
  };
  const first = await configuration(bus);
  assert.is(first.digest, await onDisk());
  assert.ok(Math.abs(first.loaded_at / 1000 - Date.now()) < 60_000);
  assert.equal(await configuration(daemon), { loaded_at: first.loaded_at });
  await probe.reload('greeting: [\n');
  assert.equal(await configuration(bus), first);
  await probe.reload('greeting: new\n');
  const second = await configuration(bus);
  assert.is(second.digest, await onDisk());
  assert.ok(second.loaded_at > first.loaded_at);
});

test('refuses a change that requires a restart', async (context) => {
  const homedir = `homedir: ${context.dir}\n`;
  await using probe = await Probe.start(context, `greeting: old\nfixed: a\n${homedir}`);
  for (const [yaml, setting] of [
    [`greeting: new\nfixed: b\n${homedir}`, 'fixed'],
    [`greeting: new\n${homedir}`, 'fixed'],
    ['greeting: new\nfixed: a\n', 'homedir'],
    ['greeting: new\nfixed: a\nhomedir_path: /elsewhere\n', 'homedir'],
  ] as const) {
    await probe.reload(yaml);
    assert.is(await probe.greet(), 'old');
    const { lastError } = await probe.properties();
    assert.match(lastError, 'restart needed');
    assert.match(lastError, setting);
  }
  await probe.reload(`greeting: new\nfixed: a\nhomedir_path: ${context.dir}\n`);
  assert.is(await probe.greet(), 'new');
});

test('accepts another name of the state directory, which may be the default one', async (context) => {
  const state = join(context.dir, 'default');
  await mkdir(state);
  await symlink(state, join(context.dir, 'link'));
  const environment = { STATE_DIRECTORY: `${state}:${join(context.dir, 'link')}` };
  await using probe = await Probe.start(context, 'greeting: default\n', environment);
  for (const name of ['link', 'link/', 'default/../link', 'default']) {
    await probe.reload(`greeting: ${name}\nhomedir: ${context.dir}/${name}\n`);
    assert.is(await probe.greet(), name);
  }
  await probe.reload('greeting: none\n');
  assert.is(await probe.greet(), 'none');
  await probe.reload(`greeting: another\nhomedir: ${context.dir}\n`);
  assert.is(await probe.greet(), 'none');
});

test('authorizes by the rules of the new configuration', async (context) => {
  const acl = (rules: string) => `authorization: {backend: acl, acl: [${rules}]}\n`;
  const rule = '{user: "1", actions: ["*"]}';
  await using probe = await Probe.start(context, acl(''));
  await using daemon = await connectAs(context.privateBus.address, { uid: 1, gid: 1 });
  const guarded = (): Promise<string> =>
    callOn(daemon, 'Guarded', 's', ['a']).then(
      () => 'allowed',
      () => 'denied',
    );
  assert.is(await guarded(), 'denied');
  await probe.reload(acl(rule));
  assert.is(await guarded(), 'allowed');
  await probe.reload(acl(''));
  assert.is(await guarded(), 'denied');
  await probe.reload(acl(rule));
  await probe.reload('authorization: {backend: polkit}\n');
  assert.is(await guarded(), 'denied');
});

test('exits after the idle time of the new configuration', async (context) => {
  await using probe = await Probe.start(context, 'idle_exit_s: 0\n');
  await probe.reload('idle_exit_s: 0.05\n');
  await until(20_000, 'the end', async () => (await context.bus.nameOwner(busName)) === undefined);
  assert.not.match(probe.stderr, '<3>');
});

test('logs at the level of the new configuration', async (context) => {
  await using probe = await Probe.start(context, 'log_level: info\n');
  await probe.configure('log_level: error\ngreeting: new\n');
  await until(20_000, 'the reload', async () => (await probe.greet()) === 'new');
  await probe.stop();
  assert.match(probe.stderr, 'started');
  assert.not.match(probe.stderr, 'stopped');
});

test('notifies systemd of every reload, with the time at which it began', async (context) => {
  await using manager = await NotifySocket.open(join(context.dir, 'notify'));
  const environment = { NOTIFY_SOCKET: manager.path };
  await using probe = await Probe.start(context, 'greeting: old\n', environment);
  const notified = (count: number) =>
    until(20_000, `${count} messages`, () => Promise.resolve(manager.messages.length >= count));
  await notified(1);
  await probe.configure('greeting: [\n');
  await notified(3);
  await probe.configure('greeting: new\n');
  await notified(5);
  assert.is(await probe.greet(), 'new');
  const uptimeUs = Number(process.hrtime.bigint() / 1000n);
  const [ready, ...rest] = manager.messages;
  assert.is(ready, 'READY=1');
  for (const [begun = '', done] of [rest.slice(0, 2), rest.slice(2, 4)]) {
    const [, time] = /^RELOADING=1\nMONOTONIC_USEC=(\d+)$/.exec(begun) ?? [];
    assert.ok(Math.abs(Number(time) - uptimeUs) < 60_000_000, begun);
    assert.is(done, 'READY=1');
  }
});

test('reloads once more for a signal that arrives during a reload', async (context) => {
  await using probe = await Probe.start(context, 'greeting: old\n');
  await probe.configure('greeting: slow\n');
  await until(20_000, 'the reload', async () => {
    return (await readFile(join(context.dir, 'notes'), 'utf8')).includes('reloading');
  });
  await probe.configure('greeting: new\n');
  await until(20_000, 'two reloads', () => probe.outcomes === 2);
  assert.is(await probe.greet(), 'new');
});

test.run();
