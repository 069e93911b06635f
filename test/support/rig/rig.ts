import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, realpathSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Bus, BusError, hasNoOwner } from '../../../src/dbus/bus.ts';
import { keysService } from '../../../src/interfaces/keys.ts';
import { undeclaredMessage } from '../../../src/service/authorization/audit.ts';
import { deadline, until } from '../deadline.ts';
import { SoftHsmToken, type TokenKeyType } from '../keys/softhsm.ts';
import { ThrowAwayAuthority } from '../polkit/throw-away-authority.ts';
import { shellWord } from '../shell-word.ts';
import { type CommandOptions, type CommandResult, Namespace } from '../system/namespace.ts';
import { isRunning } from '../system/running.ts';
import { TransientUnits } from '../system/transient-units.ts';
import { type BusKind, busCommand, defaultBus } from './bus-kind.ts';
import { logOutput } from './log-output.ts';
import { privateEtc, privateRun } from './private-directories.ts';
import { writeBusConfiguration } from './rig-bus.ts';
import { deviceName, type Settings, writeConfiguration, writeDropIn } from './rig-config.ts';
import {
  operatorsMayDoEverything,
  polkitMounts,
  writePolkitFiles,
  writeRules,
} from './rig-polkit.ts';
import { launcherText, makeFor, programs, type ServiceName, services } from './rig-services.ts';
import { identityOf, type RigUser, writeUsers } from './rig-users.ts';

/** Deviations from the default rig. */
export interface RigOptions {
  /** Settings that override the four files. */
  readonly settings?: Settings;
  /** JavaScript for polkit; by default operators are allowed everything, other users nothing. */
  readonly rules?: string;
  /** Whether polkitd is started; default true. */
  readonly polkit?: boolean;
  /** The types of the two key pairs in the token; false for no token. */
  readonly token?: { readonly deviceId?: TokenKeyType; readonly deviceCa?: TokenKeyType } | false;
  /** The implementation of the bus; by default the one that the tests run on. */
  readonly bus?: BusKind;
  /** Variables in the environment of services. */
  readonly environment?: Readonly<Partial<Record<ServiceName, Readonly<Record<string, string>>>>>;
}

/** Options of a command in the rig's mount namespace, by default run as root. */
export interface RigCommandOptions extends Omit<CommandOptions, 'identity'> {
  readonly user?: string | undefined;
}

const checkout = join(import.meta.dirname, '../../../..');

/**
 * The whole device on one machine, for tests and for the demonstration: a system bus, polkit, a token and the four
 * bundled services, each activated on demand as its own user. Everything is in one directory and one mount
 * namespace, so the machine's own files stay unchanged and rigs do not see each other. It ends with its owner.
 */
export class Rig implements AsyncDisposable {
  /** The directory of everything; removed by the disposal. */
  readonly directory: string;
  readonly #options: RigOptions;
  #namespace: Namespace | undefined;
  #polkitd: ChildProcess | undefined;
  #bus: ChildProcess | undefined;
  #units: Bus | undefined;
  #token: SoftHsmToken | undefined;
  #authority: ThrowAwayAuthority | undefined;
  #busEnded: Promise<string> = new Promise(() => undefined);

  private constructor(directory: string, options: RigOptions) {
    this.directory = directory;
    this.#options = options;
  }

  /** Starts bus and polkit and creates token and certificates; services are activated by calls. */
  static async start(options: RigOptions = {}): Promise<Rig> {
    if (!existsSync(join(checkout, 'dist/bin'))) throw new Error('npm run build comes before this');
    const directory = await mkdtemp('/run/iotedge-');
    const rig = new Rig(directory, options);
    try {
      await chmod(directory, 0o755);
      await rig.#writeFiles();
      rig.#namespace = await Namespace.open(directory, rig.#mounts());
      await rig.startBus();
      if (options.polkit !== false) await rig.startPolkit();
      if (options.token !== false) await rig.#makeToken(options.token ?? {});
      return rig;
    } catch (error) {
      await rig[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The value for DBUS_SYSTEM_BUS_ADDRESS. */
  get address(): string {
    return `unix:path=${this.directory}/bus`;
  }

  /** Resolves when the bus has ended unexpectedly, with a description. */
  get busEnded(): Promise<string> {
    return this.#busEnded;
  }

  /** The token with the keys of the device. */
  get token(): SoftHsmToken {
    if (this.#token === undefined) throw new TypeError('this rig has no token');
    return this.#token;
  }

  /** The CA of the device's certificates, which also issues those of servers. */
  get authority(): ThrowAwayAuthority {
    if (this.#authority === undefined) throw new TypeError('this rig has no certificates');
    return this.#authority;
  }

  /** A connection to the bus as this process's user. */
  connect(): Promise<Bus> {
    return deadline(10_000, Bus.connect(this.address), 'the bus');
  }

  /** Runs a command in the rig's mount namespace, with the rig's bus as the system bus. */
  run(
    command: string,
    args: readonly string[],
    options?: RigCommandOptions,
  ): Promise<CommandResult> {
    return this.#inside.run(command, args, this.#withBus(options));
  }

  /** Starts a program in the rig's mount namespace, without waiting for its end. */
  spawn(command: string, args: readonly string[], options?: RigCommandOptions): ChildProcess {
    return this.#inside.spawn(command, args, this.#withBus(options));
  }

  /** Runs busctl on the rig's bus. */
  busctl(args: readonly string[], user?: RigUser): Promise<CommandResult> {
    return this.run('busctl', [`--address=${this.address}`, ...args], { user });
  }

  /** Runs gdbus on the rig's bus: `gdbus(['call', '--dest', …])`. */
  gdbus([verb = 'help', ...args]: readonly string[], user?: RigUser): Promise<CommandResult> {
    return this.run('gdbus', [verb, '--system', ...args], { user });
  }

  /** Runs the project's command line program. */
  iotedgectl(args: readonly string[], user?: RigUser): Promise<CommandResult> {
    return this.run(
      `${this.directory}/node`,
      [`${this.directory}/${programs}/iotedgectl.cjs`, ...args],
      {
        user,
      },
    );
  }

  /** A shell script that executes the service, to be run as root by `sh` in the rig's mount namespace. */
  launcher(service: ServiceName): string {
    return join(this.directory, 'launch', service);
  }

  /** The state directory of a service. */
  stateDirectory(service: ServiceName): string {
    return join(this.directory, 'state', service);
  }

  /** The process id of a service; undefined while it does not run. */
  async processOf(service: ServiceName): Promise<number | undefined> {
    await using bus = await this.connect();
    const name = services[service].busName;
    try {
      const [pid] = await bus.call({
        destination: 'org.freedesktop.DBus',
        path: '/org/freedesktop/DBus',
        interface: 'org.freedesktop.DBus',
        member: 'GetConnectionUnixProcessID',
        signature: 's',
        body: [name],
      });
      return Number(pid);
    } catch (error) {
      if (hasNoOwner(error) || isProcessGone(error)) return undefined;
      throw error;
    }
  }

  /** Stops a service, if it runs, and waits until it has ended; the next call activates it. */
  async stop(service: ServiceName, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const pid = await this.processOf(service);
    if (pid === undefined) return;
    process.kill(pid, signal);
    // it releases its name first, and a second process would use the same state
    await until(30_000, `${service} to stop`, async () => !(await isRunning(pid)));
    await until(5000, `${service} to leave`, async () => (await this.processOf(service)) !== pid);
  }

  /** Reloads the configuration of a service, and waits for the outcome. */
  async reload(service: ServiceName): Promise<'reloaded' | 'refused'> {
    const pid = await this.processOf(service);
    if (pid === undefined) throw new TypeError(`${service} does not run`);
    const outcomes = async (): Promise<readonly string[]> =>
      (await this.log(service)).match(/configuration (not )?reloaded/g) ?? [];
    const { length } = await outcomes();
    process.kill(pid, 'SIGHUP');
    await until(30_000, `${service} to reload`, async () => (await outcomes()).length > length);
    return (await outcomes()).at(-1) === 'configuration reloaded' ? 'reloaded' : 'refused';
  }

  /** The output of a service, the bus or `polkitd` so far. */
  async log(name: ServiceName | 'bus' | 'polkitd'): Promise<string> {
    const file = join(this.directory, 'log', `${name}.log`);
    return existsSync(file) ? readFile(file, 'utf8') : '';
  }

  /** Overrides settings of a service, effective at its next start. */
  configure(service: ServiceName, settings: object): Promise<void> {
    return writeDropIn(this.directory, service, settings);
  }

  /** Replaces polkit's rules and restarts polkitd, which would notice the change only after a while. */
  async setRules(rules: string): Promise<void> {
    await this.stopPolkit();
    await writeRules(this.directory, rules);
    await this.startPolkit();
  }

  /** Starts polkitd and waits until it owns its name. */
  async startPolkit(): Promise<void> {
    this.#polkitd = this.#daemon('polkitd', '/usr/lib/polkit-1/polkitd', ['--no-debug']);
    await this.#untilPolkit('to have its name', (owner) => owner !== undefined);
  }

  /** Stops polkitd, by default like a crash. */
  async stopPolkit(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const daemon = this.#polkitd;
    this.#polkitd = undefined;
    if (daemon === undefined || daemon.exitCode !== null || daemon.signalCode !== null) return;
    const exit = once(daemon, 'exit');
    daemon.kill(signal);
    await deadline(10_000, exit, 'polkitd to stop');
    await this.#untilPolkit('to leave the bus', (owner) => owner === undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const undeclared = await this.#undeclaredErrors();
    if (this.#namespace === undefined) await rm(this.directory, { recursive: true, force: true });
    await this.#units?.close();
    await this.#namespace?.[Symbol.asyncDispose]();
    if (undeclared.length > 0) throw new Error(`services logged ${undeclared.join('\n')}`);
  }

  /** The log records about errors that the interface tables do not list: the reference lacks them. */
  async #undeclaredErrors(): Promise<readonly string[]> {
    const names = Object.keys(services) as ServiceName[];
    const logs = await Promise.all(names.map((name) => this.log(name)));
    const lines = logs.flatMap((text) => text.split('\n'));
    return lines.filter((line) => line.includes(undeclaredMessage));
  }

  get #inside(): Namespace {
    if (this.#namespace === undefined) throw new TypeError('the rig has not started');
    return this.#namespace;
  }

  #withBus({ user, ...options }: RigCommandOptions = {}): CommandOptions {
    const environment = { DBUS_SYSTEM_BUS_ADDRESS: this.address, ...options.environment };
    const identity = user === undefined ? undefined : identityOf(user);
    return { ...options, identity, environment };
  }

  async #writeFiles(): Promise<void> {
    const { directory } = this;
    for (const name of [
      'accounts',
      'etc',
      'run',
      'checkout',
      'log',
      'launch',
      'state',
      'secrets',
      'engine',
    ])
      await mkdir(join(directory, name));
    await writeFile(join(directory, 'node'), '');
    await writeUsers(join(directory, 'accounts'));
    const policies = join(checkout, 'dbus-policy');
    await writePolkitFiles(directory, policies, this.#options.rules ?? operatorsMayDoEverything);
    const names = Object.keys(services) as ServiceName[];
    const activations = names.map((name) => ({
      service: services[name],
      launcher: this.launcher(name),
    }));
    await writeBusConfiguration(directory, policies, activations);
    await writeConfiguration(directory, this.#options.settings ?? {});
    await makeFor(services.modules.user, join(directory, 'runtime'));
    for (const name of names) {
      await makeFor(services[name].user, this.stateDirectory(name));
      const variables = {
        DBUS_SYSTEM_BUS_ADDRESS: this.address,
        ...this.#options.environment?.[name],
      };
      await writeFile(this.launcher(name), launcherText(directory, name, variables));
    }
  }

  async #untilPolkit(what: string, fits: (owner: string | undefined) => boolean): Promise<void> {
    await using bus = await this.connect();
    const isReached = async (): Promise<boolean> =>
      fits(await bus.nameOwner('org.freedesktop.PolicyKit1'));
    await until(10_000, `polkitd ${what}`, isReached);
  }

  /** Node and the checkout are mounted because the services' users may not have access to their own paths. */
  #mounts(): readonly string[] {
    const { directory } = this;
    return [
      ...privateRun(`${directory}/run`, directory),
      ...privateEtc(`${directory}/etc`, `${directory}/accounts`),
      ...polkitMounts(directory),
      `mount --bind ${shellWord(realpathSync(process.execPath))} '${directory}/node'`,
      `mount --bind ${shellWord(checkout)} '${directory}/checkout'`,
    ];
  }

  /** The socket exists shortly before the bus listens on it. */
  async #isListening(): Promise<boolean> {
    try {
      await using _ = await this.connect();
      return true;
    } catch {
      return false;
    }
  }

  /** Starts the bus, also after `stopBus`. */
  async startBus(): Promise<void> {
    const kind = this.#options.bus ?? defaultBus();
    const socket = join(this.directory, 'bus');
    const file = join(this.directory, 'dbus/system.conf');
    await rm(socket, { force: true });
    const [command, ...args] = busCommand(kind, { socket, file });
    const daemon = (this.#bus = this.#daemon('bus', command, args));
    // its last output may not be in the file yet, and arrives after its end
    const output = tailOf(daemon);
    const closed = once(daemon, 'close');
    const busEnded = (this.#busEnded = endOf(daemon));
    const hasEnded = (): boolean => daemon.exitCode !== null || daemon.signalCode !== null;
    await until(
      30_000,
      () => `${kind} to start: ${output()}`,
      async () => hasEnded() || (await this.#isListening()),
    );
    if (hasEnded()) {
      await deadline(30_000, closed, 'the output of the bus');
      throw new Error(`${kind} has ended (${await busEnded}): ${output() || 'it output nothing'}`);
    }
    if (kind === 'dbus-daemon') return;
    await chmod(socket, 0o666);
    this.#units = await this.connect();
    await TransientUnits.serve(this.#units, (program, args) =>
      this.#daemon('units', program, args),
    );
  }

  /** Kills the bus, like a crash. */
  async stopBus(): Promise<void> {
    this.#bus?.kill('SIGKILL');
    await deadline(10_000, this.#busEnded, 'the bus to end');
  }

  #daemon(name: string, command: string, args: readonly string[]): ChildProcess {
    const daemon = this.spawn(command, args);
    daemon.stdin?.end();
    logOutput(daemon, join(this.directory, 'log', `${name}.log`));
    return daemon;
  }

  async #makeToken(types: {
    readonly deviceId?: TokenKeyType;
    readonly deviceCa?: TokenKeyType;
  }): Promise<void> {
    const folder = join(this.directory, 'token');
    await makeFor(keysService.user, folder);
    const token = await SoftHsmToken.create(folder, (command, args, options) =>
      this.run(command, args, { ...options, user: keysService.user }),
    );
    await token.createKeyPair('device id', types.deviceId);
    await token.createKeyPair('device ca', types.deviceCa);
    const authority = await ThrowAwayAuthority.create(join(this.directory, 'authority'));
    const secrets = {
      'device-id.cer': await authority.certify(
        deviceName,
        await token.publicKey('device id'),
        'client',
      ),
      'device-ca.cer': await authority.certify(
        `${deviceName} CA`,
        await token.publicKey('device ca'),
        'device-ca',
      ),
      'trusted-ca.cer': await authority.certificate(),
    };
    for (const [name, pem] of Object.entries(secrets))
      await writeFile(join(this.directory, 'secrets', name), pem);
    this.#token = token;
    this.#authority = authority;
  }
}

const longestTail = 2000;

/** The last output of a process. */
function tailOf({ stdout, stderr }: ChildProcess): () => string {
  let text = '';
  for (const stream of [stdout, stderr]) {
    stream?.on('data', (chunk) => {
      text = `${text}${String(chunk)}`.slice(-longestTail);
    });
  }
  return () => text.trim();
}

function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
}

/** dbus-daemon 1.16 looks the process up on request, and may notice only then that it has ended. */
function isProcessGone(error: unknown): boolean {
  const name = 'org.freedesktop.DBus.Error.UnixProcessIdUnknown';
  return error instanceof BusError && error.errorName === name;
}
