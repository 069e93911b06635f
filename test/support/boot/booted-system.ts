import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { runCommand } from '../command.ts';
import { untilFound } from '../deadline.ts';
import { controlGroups } from './control-groups.ts';
import { InitProcess, type Layers } from './init-process.ts';
import { Keeper } from './keeper.ts';
import { rootOf, systemName } from './root.ts';
import { stageMachine, stageProduct } from './stage.ts';

const bootMs = 60_000;

/** The output of a command, and its exit code or the signal that ended it. */
export interface Result {
  readonly code: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** The name of a user inside, by default root. */
  readonly user?: string;
  readonly input?: string;
  readonly timeoutMs?: number;
}

export type BootedService = 'Keys' | 'Certificates' | 'Identity' | 'Modules';

/** An entry of the journal: fields by their name. */
export type JournalEntry = Readonly<Record<string, unknown>>;

/**
 * A system in namespaces of its own, whose process 1 is the systemd of a distribution, with the product installed. All
 * changes are in a layer in memory, which a reboot keeps. Nothing of it outlives this process.
 */
export class BootedSystem implements AsyncDisposable {
  readonly #keeper: Keeper;
  readonly #layers: Layers;
  #running: InitProcess | undefined;

  private constructor(keeper: Keeper, layers: Layers) {
    this.#keeper = keeper;
    this.#layers = layers;
  }

  /** Boots the system that `IOTEDGE_TEST_SYSTEM` names, with the product unless a test installs it. */
  static async boot(installed = true): Promise<BootedSystem> {
    const root = await rootOf(systemName);
    const directory = await mkdtemp(join(tmpdir(), 'iotedge-booted-'));
    const groups = controlGroups(basename(directory), systemName === 'debian-12');
    const keeper = await Keeper.start(directory, groups.directories);
    const lower = [join(directory, 'staged'), root];
    const layers = { enter: keeper.enter, layer: join(directory, 'layer'), lower, groups };
    const system = new BootedSystem(keeper, layers);
    try {
      await stageMachine(join(directory, 'staged'));
      if (installed) await stageProduct(join(directory, 'staged'));
      await system.#boot();
      return system;
    } catch (error) {
      await system[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The process id of systemd on this machine. */
  get pid(): number {
    return this.#init.pid;
  }

  /** The command line prefix that runs a program of the system in it. */
  get enter(): readonly string[] {
    return this.#init.enter;
  }

  /** The command line prefix that runs a program of this machine in the network of the system, also between boots. */
  get enterNetwork(): readonly string[] {
    return this.#keeper.enterNetwork;
  }

  /** The path on this machine of a file or socket of the system. */
  path(inside: string): string {
    return `/proc/${this.pid}/root${inside}`;
  }

  /** The directories on this machine that exist while the system does. */
  get directories(): readonly string[] {
    return [join(this.#layers.layer, '..'), ...this.#layers.groups.directories];
  }

  /** Runs a command, or a script of sh, to its end. */
  async run(
    command: string | readonly string[],
    { user, input = '', timeoutMs = 30_000 }: RunOptions = {},
  ): Promise<Result> {
    const words = typeof command === 'string' ? ['sh', '-c', command] : command;
    const identity = user === undefined ? [] : ['runuser', '-u', user, '--'];
    const [program = '', ...args] = [...this.#init.enter, ...identity, ...words];
    const { code, stdout, stderr } = await runCommand(program, args, { input, timeoutMs });
    return { code, stdout: stdout.toString(), stderr };
  }

  /** The standard output of a command that must succeed, without white space around it. */
  async output(command: string | readonly string[], options?: RunOptions): Promise<string> {
    const { code, stdout, stderr } = await this.run(command, options);
    if (code === 0) return stdout.trim();
    throw new Error(`${String(command)} ended with ${code}: ${stdout}${stderr}`);
  }

  /** Writes a file, and the directories above it. */
  async write(path: string, text: string, mode = '0644'): Promise<void> {
    const script = 'mkdir -p "$(dirname "$1")" && cat >"$1" && chmod "$2" "$1"';
    await this.output(['sh', '-c', script, 'write', path, mode], { input: text });
  }

  /** The entries of the journal of this boot that match each `FIELD=value`. */
  async journal(...matches: readonly string[]): Promise<readonly JournalEntry[]> {
    await this.output(['journalctl', '--sync']);
    const options = ['--boot', '--no-pager', '--all', '--output=json'];
    const text = await this.output(['journalctl', ...options, ...matches]);
    const lines = text.split('\n').filter((line) => line !== '');
    return lines.map((line) => JSON.parse(line) as JournalEntry);
  }

  /** The results of a method of a service, by busctl: `values` are its words for all arguments but the options. */
  async call(
    service: BootedService,
    method: string,
    signature = 'a{sv}',
    ...values: readonly (string | number)[]
  ): Promise<readonly unknown[]> {
    const name = `org.iotedge.${service}1`;
    const what = [name, `/org/iotedge/${service}1`, name, method, signature];
    const args = [...values, 0].map(String); // no options
    const busctl: readonly string[] = [
      'busctl',
      '--timeout=60',
      '--json=short',
      'call',
      ...what,
      '--',
      ...args,
    ];
    const text = await this.output(busctl, { timeoutMs: 70_000 });
    return text === '' ? [] : (JSON.parse(text) as { readonly data: readonly unknown[] }).data;
  }

  /** The properties of a unit, as `systemctl show` prints them. */
  async unit(name: string): Promise<Readonly<Record<string, string>>> {
    const lines = (await this.output(['systemctl', 'show', name])).split('\n');
    return Object.fromEntries(
      lines.map((line): [string, string] => {
        const [key = '', ...value] = line.split('=');
        return [key, value.join('=')];
      }),
    );
  }

  /** Shuts the system down, and boots it with what is in its layer. */
  async reboot(): Promise<void> {
    await this.output(['systemctl', '--no-block', 'poweroff']);
    await this.#init.ended();
    await this.#boot();
  }

  /** Ends all processes at once, and removes the layer. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#running?.kill();
    await this.#running?.ended();
    await this.#keeper[Symbol.asyncDispose]();
  }

  get #init(): InitProcess {
    if (this.#running === undefined) throw new Error('the system is not booted');
    return this.#running;
  }

  /** Boots, and waits until all units are started, which must not fail. */
  async #boot(): Promise<void> {
    this.#running = await InitProcess.start(this.#layers);
    const what = () => `the system to boot: ${this.#init.console}`;
    const state = await untilFound(bootMs, what, async () => {
      const { stdout } = await this.run(['systemctl', 'is-system-running', '--wait']);
      return /^(running|degraded)$/.exec(stdout.trim())?.[1];
    });
    if (state === 'running') return;
    throw new Error(`units failed: ${await this.output(['systemctl', '--failed', '--no-legend'])}`);
  }
}
