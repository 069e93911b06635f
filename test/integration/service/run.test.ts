import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus } from '../../../src/dbus/bus.ts';
import { variant } from '../../../src/dbus/wire/variant.ts';
import { connectAs } from '../../support/clients/connect-as.ts';
import { deadline, until } from '../../support/deadline.ts';
import { failureOf } from '../../support/failure.ts';
import { PrivateBus } from '../../support/rig/private-bus.ts';
import { NotifySocket } from '../../support/system/notify-socket.ts';

const test = suite<{ dir: string; privateBus: PrivateBus; bus: Bus }>('lifecycle of a service');

const busName = 'org.iotedge.Probe1';
const program = join(import.meta.dirname, 'probe-service.js');

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The probe as a child process. */
class Probe implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  stderr = '';

  constructor(args: readonly string[], environment: NodeJS.ProcessEnv) {
    const env = { ...process.env, ...environment };
    this.child = spawn(process.execPath, [program, ...args], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    this.child.stdout?.on('data', (chunk) => (stdout += String(chunk)));
    this.child.stderr?.on('data', (chunk) => (this.stderr += String(chunk)));
    const closed = once(this.child, 'close');
    this.ended = closed.then(() => ({ code: this.child.exitCode, stdout, stderr: this.stderr }));
  }

  end(): Promise<Ended> {
    return deadline(20_000, this.ended, 'the service to end');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill('SIGKILL');
    await this.end();
  }
}

test.before.each(async (context) => {
  context.dir = await mkdtemp(join(tmpdir(), 'service-run-'));
  context.privateBus = await PrivateBus.start();
  context.bus = await context.privateBus.connect();
});
test.after.each(async ({ dir, privateBus, bus }) => {
  await bus.close();
  await privateBus[Symbol.asyncDispose]();
  // one that the bus has started may still be ending
  await rm(dir, { recursive: true, maxRetries: 10, retryDelay: 100 });
});

function probe(dir: string, privateBus: PrivateBus, args: readonly string[] = []): Probe {
  const environment = {
    DBUS_SYSTEM_BUS_ADDRESS: privateBus.address,
    PROBE_NOTES: join(dir, 'notes'),
  };
  return new Probe(['--config-dir', dir, '--state-dir', join(dir, 'state'), ...args], environment);
}

function call(
  bus: Bus,
  member: string,
  signature = '',
  body: readonly unknown[] = [],
): Promise<readonly unknown[]> {
  const target = { destination: busName, path: '/org/iotedge/Probe1', interface: busName };
  return bus.call({ ...target, member, signature: `${signature}a{sv}`, body: [...body, {}] });
}

async function started(bus: Bus, service: Probe): Promise<void> {
  const isOwned = async (): Promise<boolean> => {
    if (service.child.exitCode !== null) throw new Error(service.stderr);
    return (await bus.nameOwner(busName)) !== undefined;
  };
  await until(20_000, () => `the name of the service: ${service.stderr}`, isOwned);
}

test('prints help, version and interfaces without a bus', async () => {
  for (const [option, expected] of [
    ['--help', '--state-dir DIR'],
    ['--version', 'development'],
    ['--introspect', '<interface name="org.iotedge.Probe1.Thing">'],
  ] as const) {
    await using service = new Probe([option], { DBUS_SYSTEM_BUS_ADDRESS: 'unix:path=/nowhere' });
    const { code, stdout } = await service.end();
    assert.is(code, 0);
    assert.match(stdout, expected);
  }
});

test('exits with 2 for an invalid command line', async () => {
  for (const args of [['--nonsense'], ['argument'], ['--config-dir'], ['--state-dir', '']]) {
    await using service = new Probe(args, {});
    assert.is((await service.end()).code, 2);
  }
});

test('exits with 78 and all problems for an invalid configuration, and touches nothing', async ({
  dir,
  privateBus,
}) => {
  await writeFile(join(dir, 'probe.yaml'), 'log_levl: info\nidle_exit_s: never\n');
  await using service = probe(dir, privateBus);
  const { code, stderr } = await service.end();
  assert.is(code, 78);
  const file = join(dir, 'probe.yaml');
  assert.is(
    stderr,
    `${file}:1:1: unknown key "log_levl", did you mean "log_level"?\n` +
      `${file}:2:14: "idle_exit_s" must be a number\n`,
  );
  assert.equal(await readdir(dir), ['probe.yaml']);
});

test('exits with 1 when there is no bus', async ({ dir }) => {
  const environment = { DBUS_SYSTEM_BUS_ADDRESS: `unix:path=${dir}/nothing` };
  await using service = new Probe(['--config-dir', dir, '--state-dir', dir], environment);
  assert.is((await service.end()).code, 1);
});

test('takes the state directory from the command line, the configuration and systemd, in this order', async ({
  dir,
  privateBus,
  bus,
}) => {
  const cases = [
    { args: ['--state-dir', join(dir, 'a')], yaml: `homedir_path: ${dir}/b\n`, expected: 'a' },
    { args: [], yaml: `homedir_path: ${dir}/b\n`, expected: 'b' },
    { args: [], yaml: `homedir: ${dir}/b\n`, expected: 'b' },
    { args: [], yaml: '', expected: 'c' },
  ];
  for (const { args, yaml, expected } of cases) {
    await writeFile(join(dir, 'probe.yaml'), yaml);
    await using service = new Probe(['--config-dir', dir, ...args], {
      DBUS_SYSTEM_BUS_ADDRESS: privateBus.address,
      STATE_DIRECTORY: `${dir}/c:${dir}/d`,
    });
    await started(bus, service);
    assert.equal(await call(bus, 'Where'), [join(dir, expected)]);
    assert.is((await stat(join(dir, expected))).mode & 0o777, 0o700);
    service.child.kill('SIGTERM');
    assert.is((await service.end()).code, 0);
  }
});

test('replies to pending calls when it is stopped, and exits with 0', async ({
  dir,
  privateBus,
  bus,
}) => {
  await using service = probe(dir, privateBus);
  await started(bus, service);
  const slow = call(bus, 'Slow', 'u', [300]);
  await call(bus, 'Echo', 's', ['']);
  service.child.kill('SIGTERM');
  await slow;
  await until(10_000, 'its name to be free', async () => !(await bus.nameOwner(busName)));
  const { code, stderr } = await service.end();
  assert.is(code, 0, stderr);
  assert.match(await readFile(join(dir, 'notes'), 'utf8'), 'cleaned up');
});

test('exits with 1 when the bus is lost', async ({ dir, privateBus, bus }) => {
  await using service = probe(dir, privateBus);
  await started(bus, service);
  // by now the log has been handed over to winston, which must not swallow the last record
  await new Promise((resolve) => setTimeout(resolve, 1500));
  await privateBus.kill();
  const { code, stderr } = await service.end();
  assert.is(code, 1);
  assert.match(stderr, /^<3>service failed error=.*bus/m);
});

test('exits with 1 when another process owns its name', async ({ dir, privateBus, bus }) => {
  await bus.requestName(busName);
  await using service = probe(dir, privateBus);
  const { code, stderr } = await service.end();
  assert.is(code, 1);
  assert.match(stderr, busName);
});

test('exits with 1 on an unhandled failure, and reports it', async ({ dir, privateBus, bus }) => {
  await using service = probe(dir, privateBus);
  await started(bus, service);
  await failureOf(call(bus, 'Reject'));
  const { code, stderr } = await service.end();
  assert.is(code, 1);
  assert.match(stderr, 'nobody looks');
});

test('changes its log level while it runs', async ({ dir, privateBus, bus }) => {
  await using service = probe(dir, privateBus);
  await started(bus, service);
  const target = {
    destination: busName,
    path: '/org/freedesktop/LogControl1',
    interface: 'org.freedesktop.DBus.Properties',
  };
  const set = (level: string): Promise<readonly unknown[]> => {
    const body = ['org.freedesktop.LogControl1', 'LogLevel', variant('s', level)];
    return bus.call({ ...target, member: 'Set', signature: 'ssv', body });
  };
  await set('err');
  assert.is(await failureOf(set('loud')), 'InvalidArgs');
  await failureOf(call(bus, 'Slow', 's', ['']));
  service.child.kill('SIGTERM');
  assert.not.match((await service.end()).stderr, 'stopped');
});

test('opens no debugger for a signal', async ({ dir, privateBus, bus }) => {
  await using service = probe(dir, privateBus);
  await started(bus, service);
  service.child.kill('SIGUSR1');
  await failureOf(call(bus, 'Slow', 's', ['']));
  service.child.kill('SIGTERM');
  const { code, stderr } = await service.end();
  assert.is(code, 0);
  assert.not.match(stderr, 'Debugger');
});

test('denies calls that require authorization when there is no polkit, except to root', async ({
  dir,
  privateBus,
  bus,
}) => {
  await using service = probe(dir, privateBus);
  await started(bus, service);
  await call(bus, 'Guarded', 's', ['a']);
  await using daemon = await connectAs(privateBus.address, { uid: 1, gid: 1 });
  assert.is(await failureOf(call(daemon, 'Guarded', 's', ['a'])), 'AccessDenied');
  service.child.kill('SIGTERM');
  const { stderr } = await service.end();
  assert.match(
    stderr,
    /^<6>authorization decision uid=0 .*action=org\.iotedge\.keys1\.sign id=a verdict=allowed/m,
  );
  assert.match(stderr, /^<4>authorization decision uid=1 .*verdict=denied/m);
});

test('warns at its start of a rule for a missing user, and denies', async ({
  dir,
  privateBus,
  bus,
}) => {
  const rule = '{user: nobody-here, actions: ["*"]}';
  const text = `authorization:\n  backend: acl\n  acl:\n    - ${rule}\n`;
  await mkdir(join(dir, 'probe.d'));
  await writeFile(join(dir, 'probe.d/rules.yaml'), text);
  await using service = probe(dir, privateBus);
  await started(bus, service);
  await using daemon = await connectAs(privateBus.address, { uid: 1, gid: 1 });
  assert.is(await failureOf(call(daemon, 'Guarded', 's', ['a'])), 'AccessDenied');
  service.child.kill('SIGTERM');
  const { stderr } = await service.end();
  const warnings = stderr.split('\n').filter((line) => line.startsWith('<4>configuration'));
  assert.is(warnings.length, 1, stderr);
  assert.match(
    warnings[0] ?? '',
    /file=\S*rules\.yaml line=4 setting=authorization\.acl\[0\]\.user/,
  );
  assert.match(warnings[0] ?? '', 'nobody-here');
});

test('exits with 0 after the idle time, but not during a call', async ({
  dir,
  privateBus,
  bus,
}) => {
  await writeFile(join(dir, 'probe.yaml'), 'idle_exit_s: 2\n');
  await using service = probe(dir, privateBus);
  await started(bus, service);
  await call(bus, 'Slow', 'u', [2500]);
  // a call that the shutdown only waits for would get a reply too, and the name would be free by now
  assert.ok((await bus.nameOwner(busName)) !== undefined);
  assert.is((await service.end()).code, 0);
});

test('never exits on idle when that is disabled', async ({ dir, privateBus, bus }) => {
  await writeFile(join(dir, 'probe.yaml'), 'idle_exit_s: 0\n');
  await using service = probe(dir, privateBus);
  await started(bus, service);
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.is(service.child.exitCode, null);
});

test('is started by the bus as often as needed and loses no call when it exits', async ({
  dir,
}) => {
  await writeFile(join(dir, 'probe.yaml'), 'idle_exit_s: 0.05\n');
  const notes = join(dir, 'notes');
  await using privateBus = await PrivateBus.start((address) => ({
    [busName]:
      `/usr/bin/env DBUS_SYSTEM_BUS_ADDRESS=${address} PROBE_NOTES=${notes} ` +
      `${process.execPath} ${program} --config-dir ${dir} --state-dir ${dir}/state`,
  }));
  await using bus = await privateBus.connect();
  const failures: unknown[] = [];
  let replied = 0;
  const client = async (count: number): Promise<void> => {
    for (let turn = 0; turn < count; turn++) {
      const text = String(turn);
      await call(bus, 'Echo', 's', [text]).then(
        ([reply]) => (replied += reply === text ? 1 : 0),
        (error: unknown) => failures.push(error),
      );
      await new Promise((resolve) => setTimeout(resolve, 40 + Math.random() * 40));
    }
  };
  await deadline(120_000, Promise.all([client(50), client(50)]), 'the calls');
  assert.equal(failures, []);
  assert.is(replied, 100);
  const starts = (await readFile(notes, 'utf8')).match(/start/g)?.length ?? 0;
  assert.ok(starts > 3, `${starts} lives`);
});

test('handles SIGINT like SIGTERM, and exits at once on the second of either', async ({
  dir,
  privateBus,
  bus,
}) => {
  {
    await using service = probe(dir, privateBus);
    await started(bus, service);
    service.child.kill('SIGINT');
    assert.is((await service.end()).code, 0);
  }
  await using service = probe(dir, privateBus);
  await started(bus, service);
  void call(bus, 'Slow', 'u', [60_000]).catch(() => undefined);
  const notes = () => readFile(join(dir, 'notes'), 'utf8');
  await until(10_000, 'the call', async () => (await notes()).includes('slow'));
  service.child.kill('SIGTERM');
  await until(10_000, 'its name to be free', async () => !(await bus.nameOwner(busName)));
  service.child.kill('SIGINT');
  assert.is((await service.end()).code, 1);
});

test('notifies the service manager when it owns its name, and when it stops', async ({
  dir,
  privateBus,
  bus,
}) => {
  await using manager = await NotifySocket.open(join(dir, 'notify'));
  await using service = new Probe(['--config-dir', dir, '--state-dir', join(dir, 'state')], {
    DBUS_SYSTEM_BUS_ADDRESS: privateBus.address,
    NOTIFY_SOCKET: manager.path,
  });
  await until(20_000, 'it to be ready', () => Promise.resolve(manager.messages.length > 0));
  assert.ok((await bus.nameOwner(busName)) !== undefined);
  service.child.kill('SIGTERM');
  assert.is((await service.end()).code, 0);
  assert.equal(manager.messages, ['READY=1', 'STOPPING=1']);
});

test('warns of notifications that its service manager does not receive', async ({
  dir,
  privateBus,
}) => {
  await using service = new Probe(['--config-dir', dir, '--state-dir', join(dir, 'state')], {
    DBUS_SYSTEM_BUS_ADDRESS: privateBus.address,
    NOTIFY_SOCKET: join(dir, 'absent'),
  });
  const lost = /^<4>notification of systemd lost notification="READY=1" consequence=/m;
  await until(20_000, 'a warning', () => lost.test(service.stderr));
  service.child.kill('SIGTERM');
  assert.is((await service.end()).code, 0);
});

test('resets the watchdog of systemd as long as its event loop runs, and exits when idle as ever', async ({
  dir,
  privateBus,
}) => {
  await using manager = await NotifySocket.open(join(dir, 'notify'));
  await writeFile(join(dir, 'probe.yaml'), 'idle_exit_s: 2\n');
  await using service = new Probe(['--config-dir', dir, '--state-dir', join(dir, 'state')], {
    DBUS_SYSTEM_BUS_ADDRESS: privateBus.address,
    NOTIFY_SOCKET: manager.path,
    WATCHDOG_USEC: '600000',
  });
  const resets = (): number => manager.messages.filter((text) => text === 'WATCHDOG=1').length;
  await until(
    5_000,
    () => `three resets: ${service.stderr} ${JSON.stringify(manager.messages)}`,
    () => resets() >= 3,
  );
  service.child.kill('SIGSTOP');
  await pause(100);
  const before = resets();
  await pause(500);
  assert.is(resets(), before);
  service.child.kill('SIGCONT');
  await until(20_000, 'more resets', () => resets() > before);
  assert.is((await service.end()).code, 0);
});

test('describes its sandbox, and warns once under systemd when it has none', async ({
  dir,
  privateBus,
  bus,
}) => {
  await using service = new Probe(['--config-dir', dir, '--state-dir', join(dir, 'state')], {
    DBUS_SYSTEM_BUS_ADDRESS: privateBus.address,
    INVOCATION_ID: '0123456789abcdef0123456789abcdef',
  });
  await started(bus, service);
  const [json] = await call(bus, 'Describe');
  const { sandbox } = JSON.parse(String(json)) as {
    readonly sandbox: Readonly<Record<string, unknown>>;
  };
  assert.is(sandbox['system_call_filter'], false);
  await until(10_000, 'the warning', () => service.stderr.includes('<4>sandbox incomplete'));
  assert.match(service.stderr, /missing="?no_new_privileges, system_call_filter, /);
});

test('is not ended by a SIGHUP while it starts, and reloads for it', async ({
  dir,
  privateBus,
  bus,
}) => {
  await writeFile(join(dir, 'probe.yaml'), 'greeting: slow start\n');
  await using service = probe(dir, privateBus);
  const notes = () => readFile(join(dir, 'notes'), 'utf8').catch(() => '');
  await until(20_000, 'the start', async () => (await notes()).includes('start'));
  service.child.kill('SIGHUP');
  await started(bus, service);
  await until(10_000, 'the reload', async () => (await notes()).includes('reloading'));
  service.child.kill('SIGTERM');
  assert.is((await service.end()).code, 0);
});

test.run();
