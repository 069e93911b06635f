import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Bus } from '../../src/dbus/bus.ts';
import { deadline } from './deadline.ts';

/** Like the stock system.conf, except that everybody may own names and call everybody. */
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

/** Commands by bus name, each an absolute path with arguments. */
export type Activatable = (address: string, directory: string) => Readonly<Record<string, string>>;

/** What a command printed and how it ended. */
export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A dbus-daemon of type system on a socket in a temporary directory, stopped when disposed of. */
export class PrivateBus implements AsyncDisposable {
  readonly directory: string;
  readonly socket: string;
  readonly #daemon: ChildProcess;

  private constructor(directory: string, socket: string, daemon: ChildProcess) {
    this.directory = directory;
    this.socket = socket;
    this.#daemon = daemon;
  }

  /**
   * Starts a bus that nobody else knows; resolves when it can be connected to. `activatable` tells the commands
   * by which the bus starts the owners of names.
   */
  static async start(activatable: Activatable = () => ({})): Promise<PrivateBus> {
    const directory = await mkdtemp(join(tmpdir(), 'iotedge-bus-'));
    await chmod(directory, 0o755); // other uids connect too
    const socket = join(directory, 'bus');
    const file = join(directory, 'bus.conf');
    await writeFile(file, configuration(socket, directory));
    await mkdir(join(directory, 'services'));
    for (const [name, command] of Object.entries(activatable(`unix:path=${socket}`, directory))) {
      const service = `[D-BUS Service]\nName=${name}\nExec=${command}\n`;
      await writeFile(join(directory, `services/${name}.service`), service);
    }
    const args = [
      '--pdeathsig=KILL', // a test process that is killed disposes of nothing
      'dbus-daemon',
      '--nofork',
      '--nopidfile',
      '--nosyslog',
      '--print-address',
      '--config-file',
      file,
    ];
    const daemon = spawn('setpriv', args, { stdio: ['ignore', 'pipe', 'ignore'] });
    const bus = new PrivateBus(directory, socket, daemon);
    await deadline(10_000, once(daemon.stdout, 'data'), 'the private bus to start');
    return bus;
  }

  get address(): string {
    return `unix:path=${this.socket}`;
  }

  connect(): Promise<Bus> {
    return deadline(10_000, Bus.connect(this.address), 'a connection');
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

  /** Ends the daemon at once, as a crash would. */
  async kill(): Promise<void> {
    if (this.#daemon.exitCode !== null || this.#daemon.signalCode !== null) return;
    const exit = once(this.#daemon, 'exit');
    this.#daemon.kill('SIGKILL');
    await deadline(5000, exit, 'the private bus to stop');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await rm(this.directory, { recursive: true, force: true });
  }
}

function run(command: string, args: readonly string[]): Promise<CommandResult> {
  return new Promise((resolve) => {
    execFile(command, args, { timeout: 20_000 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ code, stdout, stderr });
    });
  });
}
