import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { readBundle } from '../bundle.ts';
import { cachedCode, cachePathOf } from '../code-cache.ts';
import { AnsweringBus } from './answering-bus.ts';
import { type WarmUp, warmUps } from './warm-ups.ts';

const longestOutput = 2000;

/** Makes the caches of the bundles beside one. */
export class CacheMaker {
  readonly #recorder: string;
  readonly #deadlineMs: number;

  /** `recorder` is the bundle that writes the cache of another one, which is killed at the deadline. */
  constructor(recorder: string, deadlineMs = 30_000) {
    this.#recorder = recorder;
    this.#deadlineMs = deadlineMs;
  }

  /** The programs that are installed and have a cache. */
  get programs(): readonly string[] {
    return [...warmUps.keys()].filter((name) => existsSync(this.#bundle(name)));
  }

  /** Makes the cache of a program, unless it has one that fits; rejects when the program does not reply. */
  async make(name: string): Promise<void> {
    const warmUp = warmUps.get(name);
    const path = this.#bundle(name);
    if (warmUp === undefined || cachedCode(readBundle(path)) !== undefined) return;
    const directory = await mkdtemp(join(tmpdir(), 'iotedge-code-'));
    try {
      await replaceFile(cachePathOf(path), await this.#record(path, warmUp, directory));
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }

  #bundle(name: string): string {
    return join(dirname(this.#recorder), `${name}.cjs`);
  }

  /** The cache of a bundle, whose program runs in a temporary directory. */
  async #record(path: string, warmUp: WarmUp, directory: string): Promise<Buffer> {
    const { args, calls = [], compilesAll = false, config } = warmUp;
    for (const [name, text] of Object.entries(config?.(directory) ?? {}))
      await writeFile(join(directory, name), text);
    await using bus = await AnsweringBus.listen(join(directory, 'bus'), calls);
    const cache = join(directory, 'cache');
    const verb = compilesAll ? '--compile' : '--record';
    const argv = [this.#recorder, verb, cache, path, ...args(directory)];
    const child = spawn(process.execPath, argv, {
      ...spawnOptions(directory),
      timeout: this.#deadlineMs,
      killSignal: 'SIGKILL',
    });
    const output = outputOf(child);
    const ended = once(child, 'close').then(([code, signal]) => `${signal ?? `exit code ${code}`}`);
    const end = await Promise.race([bus.served, ended]);
    if (end !== undefined && calls.length > 0)
      throw new Error(`no reply before its end (${end}): ${output()}`);
    child.kill('SIGTERM');
    const exit = await ended;
    return readFile(cache).catch((error: unknown) => {
      throw new Error(`no orderly end (${exit}): ${output()}`, { cause: error });
    });
  }
}

/** The program has nothing of this process's environment. */
function spawnOptions(directory: string): SpawnOptions {
  return {
    cwd: directory,
    env: {
      DBUS_SYSTEM_BUS_ADDRESS: `unix:path=${directory}/bus`,
      RUNTIME_DIRECTORY: `${directory}/run`,
      PATH: '/usr/bin:/bin',
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  };
}

/** The last output of a process. */
function outputOf({ stderr }: ChildProcess): () => string {
  let text = '';
  stderr?.on('data', (chunk) => {
    text = `${text}${String(chunk)}`.slice(-longestOutput);
  });
  return () => text.trim();
}

/** A process that starts meanwhile finds the old file or the new one. */
async function replaceFile(path: string, content: Buffer): Promise<void> {
  const temporary = `${path}.${process.pid}`;
  try {
    await writeFile(temporary, content, { flag: 'wx', mode: 0o644 });
    await chmod(temporary, 0o644);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
