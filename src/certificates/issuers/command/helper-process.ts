/** Runs a helper in a process group of its own, for a bounded time and with bounded output. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { setTimeout as delay, setImmediate as immediate } from 'node:timers/promises';
import { ServiceError } from '../../../errors.ts';
import { closeOnExec } from '../../../native/linux.ts';

/** What a helper is run with. */
export interface HelperRun {
  /** The absolute path of the program, and its arguments. */
  readonly command: readonly [string, ...string[]];
  /** The whole environment. */
  readonly environment: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  /** After SIGTERM. */
  readonly killAfterMs?: number;
}

/** What a helper has left. */
export interface HelperResult {
  /** Undefined when a signal ended it. */
  readonly exitCode: number | undefined;
  readonly signal: string | undefined;
  readonly output: Buffer;
  readonly errors: Buffer;
}

type Child = ChildProcessByStdio<null, Readable, Readable>;

/** Of both streams together. */
const maxOutput = 256 << 10;
const defaultKillAfterMs = 2000;
/** How long a pipe that another process holds is read after the helper has ended. */
const drainMs = 500;

/**
 * The result of a helper. Unavailable when it cannot be started, does not end in time or writes too much; a signal that
 * aborts rejects with its reason. In all cases its process group is gone, unless the kernel holds a process.
 */
export async function runHelper(run: HelperRun, signal: AbortSignal): Promise<HelperResult> {
  signal.throwIfAborted();
  const [program] = run.command;
  const child = start(run);
  const exited = exitOf(child);
  const output = new Output(child);
  const late = AbortSignal.timeout(run.timeoutMs);
  const limits = AbortSignal.any([signal, late, output.exceeded]);
  try {
    const isEnded = await Promise.race([exited.then(() => true), abortOf(limits)]);
    if (!isEnded) {
      signalGroup(child, 'SIGTERM');
      await Promise.race([exited, delay(run.killAfterMs ?? defaultKillAfterMs)]);
    }
    // its answer is complete, and what it has left running may hold the pipe
    signalGroup(child, 'SIGKILL');
    await output.drain(child);
    signal.throwIfAborted();
    if (output.exceeded.aborted) {
      throw new ServiceError('Unavailable', `${program} wrote more than ${maxOutput >> 10} KiB`);
    }
    if (!isEnded) {
      const seconds = run.timeoutMs / 1000;
      throw new ServiceError('Unavailable', `${program} did not end within ${seconds} s`);
    }
    return { ...(await exited), output: output.bytes('stdout'), errors: output.bytes('stderr') };
  } finally {
    child.stdout.destroy();
    child.stderr.destroy();
  }
}

function start({ command: [program, ...args], environment }: HelperRun): Child {
  try {
    closeOnExec();
    return spawn(program, args, {
      cwd: '/',
      env: environment,
      // a group of its own, which can be ended as a whole
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  } catch (error) {
    throw startFailure(program, error);
  }
}

function exitOf(child: Child): Promise<Pick<HelperResult, 'exitCode' | 'signal'>> {
  return new Promise((resolve, reject) => {
    child.once('error', (error) => reject(startFailure(child.spawnfile, error)));
    // not `close`, which waits for the end of the pipes
    child.once('exit', (exitCode, signal) =>
      resolve({ exitCode: exitCode ?? undefined, signal: signal ?? undefined }),
    );
  });
}

function startFailure(program: string, error: unknown): ServiceError {
  const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
  return new ServiceError('Unavailable', `${program} cannot be run${code}`, { cause: error });
}

function abortOf(signal: AbortSignal): Promise<false> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(false);
    signal.addEventListener('abort', () => resolve(false), { once: true });
  });
}

/** The id of a group is not used again while it has processes; once it has none, pids come round much later. */
function signalGroup({ pid }: Child, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // the group has no processes any more
  }
}

/** What a helper writes, up to a limit. */
class Output {
  readonly #exceeded = new AbortController();
  readonly #chunks: { readonly name: string; readonly bytes: Buffer }[] = [];
  #size = 0;

  constructor(child: Child) {
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].on('data', (bytes: Buffer) => this.#add(name, bytes));
      // a pipe that cannot be read has no more output
      child[name].on('error', () => undefined);
    }
  }

  get exceeded(): AbortSignal {
    return this.#exceeded.signal;
  }

  bytes(wanted: 'stdout' | 'stderr'): Buffer {
    const chunks = this.#chunks.filter(({ name }) => name === wanted);
    return Buffer.concat(chunks.map(({ bytes }) => bytes));
  }

  /** Reads what the helper wrote before its end, which the pipes hold. */
  async drain({ stdout, stderr }: Child): Promise<void> {
    const ended = Promise.all(
      [stdout, stderr].map(async (one) => one.closed || once(one, 'close')),
    );
    await Promise.race([ended, delay(drainMs)]);
    // a pipe that is still open has been read when the event loop has come round
    await immediate();
    await immediate();
  }

  #add(name: string, bytes: Buffer): void {
    if (this.exceeded.aborted) return;
    this.#size += bytes.length;
    if (this.#size > maxOutput) {
      this.#chunks.length = 0;
      this.#exceeded.abort();
      return;
    }
    this.#chunks.push({ name, bytes });
  }
}
