import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { rootOf } from '../boot/root.ts';
import { outputOf, runCommand } from '../command.ts';
import { deadline } from '../deadline.ts';
import { keepMounts, newMountNamespace } from '../system/mount-namespace.ts';

/** Mounts the layer over the root, or over what was saved of it. */
const mountRoot = `
[ ! -d "$directory/saved" ] || lower=$directory/saved:$lower
rm -rf "$directory/work"
mkdir -p "$directory/upper" "$directory/work"
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$directory/upper,workdir=$directory/work" "$directory/root"
mkdir -p "$directory/root/packages"
mount --bind "$packages" "$directory/root/packages"
if [ -n "$sources" ]; then
  mkdir -p "$directory/root/sources"
  mount --bind "$sources" "$directory/root/sources"
  mount -o remount,bind,ro "$directory/root/sources"
fi
[ "$proc" = without ] || mount -t proc proc "$directory/root/proc"
`;
const parameters = 'directory=$1 lower=$2 packages=$3 proc=$4 sources=$5';

/**
 * Mounts a layer in memory over a root, and waits for the end of its standard input. All processes end with it, as the
 * first of their process namespace. `/proc` is the machine's: there it finds the process id that is valid outside.
 */
const script = `
${parameters}
${keepMounts}
mount -t tmpfs -o mode=755 tmpfs "$directory"
mkdir "$directory/root"
${mountRoot}
read -r pid rest </proc/self/stat
echo "$pid"
exec cat
`;

// processes that were killed may not have ended yet, so the old mount is detached
const unmountRoot = 'umount --recursive --lazy "$directory/root"';
const saveScript = `${parameters}
${unmountRoot}
mv "$directory/upper" "$directory/saved"
${mountRoot}`;
const restoreScript = `${parameters}
${unmountRoot}
rm -rf "$directory/upper"
${mountRoot}`;

const searchPath = '/usr/sbin:/usr/bin:/sbin:/bin';

export interface ChrootOptions {
  /** A directory with packages, which is /packages inside. */
  readonly packages: string;
  readonly proc: 'with' | 'without';
  /** A directory that is /sources inside, read-only. */
  readonly sources?: string;
}

/** The end of a command inside. */
export interface Ended {
  readonly code: number | string;
  /** Standard output and standard error, one after the other. */
  readonly output: string;
}

/** A root without systemd and without a bus, in which packages are installed. All changes are in memory. */
export class Chroot implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #directory: string;
  readonly #pid: number;
  readonly #parameters: readonly string[];

  private constructor(
    process: ChildProcess,
    pid: number,
    parameters: readonly [string, ...string[]],
  ) {
    this.#process = process;
    this.#directory = parameters[0];
    this.#pid = pid;
    this.#parameters = parameters;
  }

  /** Opens a layer over a root of test/distributions. */
  static async open(name: string, options: ChrootOptions): Promise<Chroot> {
    const { packages, proc, sources = '' } = options;
    const lower = await rootOf(name);
    const directory = await mkdtemp(join(tmpdir(), 'iotedge-chroot-'));
    await mkdir(packages, { recursive: true });
    const [unshare, ...mounts] = newMountNamespace;
    const namespaces = [...mounts, '--pid', '--fork', '--kill-child'];
    const parameters = [directory, lower, packages, proc, sources] as const;
    const command = ['sh', '-euc', script, 'chroot', ...parameters];
    const child = spawn(unshare, [...namespaces, ...command], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    const first = await deadline(20_000, lines.next(), 'the chroot');
    if (first.done === true) throw new Error('the chroot cannot be mounted');
    return new Chroot(child, Number(first.value), parameters);
  }

  /** The command line prefix that runs a program of this machine in its namespaces. */
  get #namespaces(): readonly string[] {
    return ['nsenter', `--target=${this.#pid}`, '--mount', '--pid', '--'];
  }

  /** The command line prefix that runs a program inside, after `before`, which is run outside. */
  #enter(before: readonly string[]): readonly string[] {
    return [...this.#namespaces, ...before, 'chroot', join(this.#directory, 'root')];
  }

  async #mountAgain(text: string): Promise<void> {
    const command = [...this.#namespaces, 'sh', '-euc', text, 'chroot', ...this.#parameters];
    const [program = '', ...args] = command;
    await outputOf(program, args);
  }

  /** Saves all files, once, for `restore`; no process may run inside. */
  save(): Promise<void> {
    return this.#mountAgain(saveScript);
  }

  /** Discards all changes since `save`. */
  restore(): Promise<void> {
    return this.#mountAgain(restoreScript);
  }

  /** Runs a script of sh inside, to its end. `before` is a command outside that runs it. */
  async run(text: string, before: readonly string[] = []): Promise<Ended> {
    const environment = ['env', '-i', `PATH=${searchPath}`, 'HOME=/root', 'LANG=C.UTF-8'];
    const settings = ['DEBIAN_FRONTEND=noninteractive', 'DEBCONF_NOWARNINGS=yes'];
    const command = [...environment, ...settings, 'sh', '-c', text];
    const [program = '', ...args] = [...this.#enter(before), ...command];
    const { code, stdout, stderr } = await runCommand(program, args, { timeoutMs: 120_000 });
    return { code, output: `${stdout.toString()}${stderr}`.trim() };
  }

  /** The output of a script that must succeed. */
  async output(text: string): Promise<string> {
    const { code, output } = await this.run(text);
    if (code === 0) return output;
    throw new Error(`${text} ended with ${code}: ${output}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exit = once(this.#process, 'exit');
    this.#process.stdin?.end();
    await deadline(20_000, exit, 'the end of the chroot');
    await rmdir(this.#directory);
  }
}
