import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { deadline } from '../deadline.ts';
import { type Identity, setpriv } from '../identity/identity.ts';
import { enterMountsOf, keepMounts, newMountNamespace } from './mount-namespace.ts';

/** What a command printed and how it ended: its exit code, or -1 when a signal or its deadline ended it. */
export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a command is run in the namespace. */
export interface CommandOptions {
  /** Who it runs as; root when absent. */
  readonly identity?: Identity | undefined;
  readonly environment?: Readonly<Record<string, string>> | undefined;
  readonly input?: string | Uint8Array | undefined;
  readonly timeoutMs?: number | undefined;
}

/**
 * The keeper outlives whoever started it for as long as it takes to clean up. It makes the mounts in a namespace of
 * their own, waits until its standard input ends, which it does when its owner dies, ends every process that is in
 * the namespace, wherever it descends from, and removes the directory.
 */
const keeper = `
trap '' INT TERM HUP
directory=$1
${newMountNamespace.join(' ')} sh -euc "$2" &
inside=$!
exec >/dev/null
cat
namespace=$(readlink "/proc/$inside/ns/mnt" | tr -dc 0-9)
members() {
  find /proc/[0-9]*/ns/mnt -maxdepth 0 -lname "mnt:?$namespace?" 2>/dev/null | cut -d/ -f3
}
if [ -n "$namespace" ] && [ "$namespace" != "$(readlink /proc/self/ns/mnt | tr -dc 0-9)" ]; then
  kill $(members | grep -vx "$inside") 2>/dev/null
  for i in $(seq 60); do
    [ "$(members)" = "$inside" ] && break
    sleep 0.05
  done
  kill -KILL $(members) 2>/dev/null
fi
wait 2>/dev/null
rm -rf --one-file-system "$directory"
`;

/**
 * A mount namespace of its own, in which files of the machine are covered by private ones. Nothing outside changes,
 * and all that runs inside ends with it.
 */
export class Namespace implements AsyncDisposable {
  readonly #keeper: ChildProcess;
  readonly #inside: number;

  private constructor(process: ChildProcess, inside: number) {
    this.#keeper = process;
    this.#inside = inside;
  }

  /** Opens a namespace. `mounts` are the shell commands that arrange it; `directory` is removed in the end. */
  static async open(directory: string, mounts: readonly string[]): Promise<Namespace> {
    const stay = ['cd /', 'echo $$', 'exec sleep infinity >/dev/null'];
    const inside = [keepMounts, ...mounts, ...stay].join('\n');
    const child = spawn('sh', ['-c', keeper, 'keeper', directory, inside], {
      stdio: ['pipe', 'pipe', 'inherit'],
      detached: true,
    });
    const ready = new Promise<string>((resolve, reject) => {
      child.stdout.setEncoding('utf8').once('data', resolve);
      child.stdout.once('end', () => reject(new Error('the mounts failed')));
    });
    try {
      return new Namespace(child, Number(await deadline(10_000, ready, 'the namespace')));
    } catch (error) {
      child.stdin.end();
      throw error;
    }
  }

  /** Starts a program inside that goes on running. */
  spawn(command: string, args: readonly string[], options: CommandOptions = {}): ChildProcess {
    const { identity, environment } = options;
    const [program = '', ...words] = [
      ...enterMountsOf(this.#inside),
      ...(identity === undefined ? [] : setpriv(identity)),
      command,
      ...args,
    ];
    // the keeper ends it, not a Ctrl-C
    return spawn(program, words, { env: { ...process.env, ...environment }, detached: true });
  }

  /** Runs a command inside to its end. */
  async run(
    command: string,
    args: readonly string[],
    options: CommandOptions = {},
  ): Promise<CommandResult> {
    const child = this.spawn(command, args, options);
    const stdout = collect(child.stdout);
    const stderr = collect(child.stderr);
    child.stdin?.on('error', () => {}); // the command need not read what it is given
    child.stdin?.end(options.input ?? '');
    const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? 30_000);
    const code = await new Promise<number | null>((resolve) => {
      child.once('close', resolve);
    });
    clearTimeout(timer);
    return { code: code ?? -1, stdout: stdout(), stderr: stderr() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#keeper.exitCode !== null) return;
    const exit = once(this.#keeper, 'exit');
    this.#keeper.stdin?.end();
    await deadline(20_000, exit, 'the namespace to end');
  }
}

function collect(stream: Readable | null): () => string {
  const chunks: Buffer[] = [];
  stream?.on('data', (chunk: Buffer) => chunks.push(chunk));
  return () => Buffer.concat(chunks).toString('utf8');
}
