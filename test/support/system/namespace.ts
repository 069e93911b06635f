import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { deadline } from '../deadline.ts';
import { type Identity, setpriv } from '../identity/identity.ts';
import { enterMountsOf, keepMounts, newMountNamespace } from './mount-namespace.ts';

/** The output and the exit code of a command; -1 when it was killed by a signal or at its deadline. */
export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Options of a command in the namespace. */
export interface CommandOptions {
  /** The user of the command, by default root. */
  readonly identity?: Identity | undefined;
  readonly environment?: Readonly<Record<string, string>> | undefined;
  readonly input?: string | Uint8Array | undefined;
  readonly timeoutMs?: number | undefined;
}

/**
 * The keeper outlives its owner until it has cleaned up. It creates a namespace with the mounts, waits for the end of
 * its standard input, which ends when the owner dies, ends every process in the namespace, whatever its parent, and
 * removes the directory.
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
 * A mount namespace in which private files are mounted over those of the machine. Nothing outside changes, and every
 * process inside ends with it.
 */
export class Namespace implements AsyncDisposable {
  readonly #keeper: ChildProcess;
  readonly #inside: number;

  private constructor(process: ChildProcess, inside: number) {
    this.#keeper = process;
    this.#inside = inside;
  }

  /** Opens a namespace. `mounts` are shell commands; `directory` is removed by the disposal. */
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

  /** Starts a program inside, without waiting for its end. */
  spawn(command: string, args: readonly string[], options: CommandOptions = {}): ChildProcess {
    const { identity, environment } = options;
    const [program = '', ...argv] = [
      ...enterMountsOf(this.#inside),
      ...(identity === undefined ? [] : setpriv(identity)),
      command,
      ...args,
    ];
    // the keeper ends it, not a Ctrl-C
    return spawn(program, argv, { env: { ...process.env, ...environment }, detached: true });
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
    child.stdin?.on('error', () => {}); // the command may not read its input
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
