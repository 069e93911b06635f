import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Bus } from '../../../src/dbus/bus.ts';
import type { OutboxLimits } from '../../../src/dbus/wire/connection.ts';
import { deadline, until } from '../deadline.ts';
import { keepMounts, newMountNamespace } from '../system/mount-namespace.ts';
import { TransientUnits } from '../system/transient-units.ts';
import { type BusKind, busCommand, defaultBus } from './bus-kind.ts';

/** Like the stock system.conf, except that every user may own any name and call every service. */
function configuration(socket: string, directory: string): string {
  return `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=${socket}</listen>
  <auth>EXTERNAL</auth>
  <servicedir>${directory}/services</servicedir>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
  </policy>
</busconfig>
`;
}

export type { BusKind } from './bus-kind.ts';

/** Commands by bus name, each an absolute path with arguments. */
export type Activatable = (address: string, directory: string) => Readonly<Record<string, string>>;

/** The output and the exit code of a command. */
export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** dbus-broker gets its own /run. */
function command(kind: BusKind, files: Parameters<typeof busCommand>[1]): readonly string[] {
  const bus = busCommand(kind, files);
  if (kind === 'dbus-daemon') return bus;
  const script = `${keepMounts} && mount -t tmpfs tmpfs /run && exec "$@"`;
  return [...newMountNamespace, 'sh', '-c', script, 'sh', ...bus];
}

/** A system bus on a socket in a temporary directory, stopped when disposed of. */
export class PrivateBus implements AsyncDisposable {
  readonly directory: string;
  readonly socket: string;
  readonly #daemon: ChildProcess;
  #units: Bus | undefined;

  private constructor(directory: string, socket: string, daemon: ChildProcess) {
    this.directory = directory;
    this.socket = socket;
    this.#daemon = daemon;
  }

  /**
   * Starts a bus that no other process knows; resolves when it accepts connections. `activatable` returns the commands
   * that start the owners of names.
   */
  static async start(
    activatable: Activatable = () => ({}),
    kind: BusKind = defaultBus(),
  ): Promise<PrivateBus> {
    const directory = await mkdtemp(join(tmpdir(), 'iotedge-bus-'));
    await chmod(directory, 0o755); // other uids connect too
    const socket = join(directory, 'bus');
    const file = join(directory, 'bus.conf');
    await writeFile(file, configuration(socket, directory));
    await mkdir(join(directory, 'services'));
    const commands = Object.entries(activatable(`unix:path=${socket}`, directory));
    for (const [name, exec] of commands) {
      const service = `[D-BUS Service]\nName=${name}\nExec=${exec}\n`;
      await writeFile(join(directory, `services/${name}.service`), service);
    }
    // a killed test process disposes of nothing
    const args = ['--pdeathsig=KILL', ...command(kind, { socket, file })];
    const bus = new PrivateBus(directory, socket, spawn('setpriv', args, { stdio: 'ignore' }));
    await until(10_000, 'the private bus to start', () => isListening(socket));
    await chmod(socket, 0o666);
    if (kind === 'dbus-broker' && commands.length > 0)
      await TransientUnits.serve((bus.#units = await bus.connect()));
    return bus;
  }

  get address(): string {
    return `unix:path=${this.socket}`;
  }

  connect(limits?: OutboxLimits): Promise<Bus> {
    return deadline(10_000, Bus.connect(this.address, { limits }), 'a connection');
  }

  /** Runs busctl on this bus as this process's user. */
  busctl(...args: readonly string[]): Promise<CommandResult> {
    return run('busctl', [`--address=${this.address}`, ...args]);
  }

  /** Runs busctl on this bus as another uid, without supplementary groups. */
  busctlAs(uid: number, ...args: readonly string[]): Promise<CommandResult> {
    const identity = [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'];
    return run('setpriv', [...identity, 'busctl', `--address=${this.address}`, ...args]);
  }

  /** Kills the daemon, like a crash. */
  async kill(): Promise<void> {
    if (this.#daemon.exitCode !== null || this.#daemon.signalCode !== null) return;
    const exit = once(this.#daemon, 'exit');
    this.#daemon.kill('SIGKILL');
    await deadline(5000, exit, 'the private bus to stop');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#units?.close();
    await this.kill();
    await rm(this.directory, { recursive: true, force: true });
  }
}

async function isListening(path: string): Promise<boolean> {
  const socket = createConnection(path);
  const accepted = await once(socket, 'connect').then(
    () => true,
    () => false,
  );
  socket.destroy();
  return accepted;
}

function run(command: string, args: readonly string[]): Promise<CommandResult> {
  return new Promise((resolve) => {
    execFile(command, args, { timeout: 20_000 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ code, stdout, stderr });
    });
  });
}
