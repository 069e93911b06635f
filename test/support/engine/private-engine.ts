import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const startMs = 60_000;
const stopMs = 20_000;

/**
 * A dockerd of its own in a network namespace of its own: nothing on the machine changes, and nothing of
 * it can reach the network. Disposing stops it and everything that it started.
 */
export class PrivateEngine implements AsyncDisposable {
  readonly directory: string;
  readonly socketPath: string;
  readonly #namespace: string;
  #daemon: ChildProcess | undefined;

  private constructor(directory: string, socketPath = join(directory, 'docker.sock')) {
    this.directory = directory;
    this.socketPath = socketPath;
    this.#namespace = basename(directory);
  }

  /** Why no private engine can run here, undefined when one can. */
  static async missing(): Promise<string | undefined> {
    if (process.getuid?.() !== 0) return 'needs root';
    for (const program of ['dockerd', 'docker', 'ip', 'nsenter', 'busybox']) {
      const found = await run('sh', ['-c', `command -v ${program}`]).catch(() => undefined);
      if (found === undefined) return `${program} is not installed`;
    }
    return undefined;
  }

  /** A running engine. Its socket is its own unless told otherwise; the group `docker` may connect. */
  static async start(socketPath?: string): Promise<PrivateEngine> {
    const directory = await mkdtemp(join(tmpdir(), 'iotedge-engine-'));
    const engine = new PrivateEngine(directory, socketPath);
    try {
      await run('ip', ['netns', 'add', engine.#namespace]);
      await run('ip', ['-n', engine.#namespace, 'link', 'set', 'lo', 'up']);
      await engine.startDaemon();
      return engine;
    } catch (error) {
      await engine[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Starts the daemon again after `stopDaemon`; its containers and images are still there. */
  async startDaemon(): Promise<void> {
    const log = createWriteStream(join(this.directory, 'dockerd.log'), { flags: 'a' });
    // nsenter and not `ip netns exec`, which hides /sys/fs/cgroup from the daemon.
    const daemon = spawn(
      'nsenter',
      [`--net=/run/netns/${this.#namespace}`, 'dockerd', ...this.#arguments()],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    daemon.stdout.pipe(log);
    daemon.stderr.pipe(log);
    this.#daemon = daemon;
    await this.#untilItAnswers(daemon);
  }

  #arguments(): readonly string[] {
    return [
      ['--data-root', join(this.directory, 'data')],
      ['--exec-root', join(this.directory, 'exec')],
      ['--pidfile', join(this.directory, 'dockerd.pid')],
      ['--host', `unix://${this.socketPath}`],
    ].flat();
  }

  async #untilItAnswers(daemon: ChildProcess): Promise<void> {
    const deadline = Date.now() + startMs;
    while (!(await answers(this.socketPath))) {
      if (daemon.exitCode !== null) throw new Error(`dockerd ended: ${await this.#logTail()}`);
      if (Date.now() > deadline) throw new Error(`dockerd is silent: ${await this.#logTail()}`);
      await sleep(50);
    }
  }

  async #logTail(): Promise<string> {
    return (await readFile(join(this.directory, 'dockerd.log'), 'utf8')).slice(-2000);
  }

  /** Stops the daemon; with it go its containers. */
  async stopDaemon(): Promise<void> {
    const daemon = this.#daemon;
    this.#daemon = undefined;
    if (daemon === undefined || daemon.exitCode !== null || daemon.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => daemon.once('exit', () => resolve()));
    daemon.kill('SIGTERM');
    const late = sleep(stopMs, 'late', { ref: false });
    if ((await Promise.race([ended, late])) === 'late') {
      daemon.kill('SIGKILL');
      await ended;
    }
  }

  /** The command line client, on this engine. */
  async docker(...args: readonly string[]): Promise<string> {
    const { stdout } = await run('docker', ['-H', `unix://${this.socketPath}`, ...args], {
      timeout: startMs,
    });
    return stdout.trim();
  }

  /** Starts a program where the engine's networks are; whoever starts it ends it. */
  spawnInNetwork(command: string, ...args: readonly string[]): ChildProcess {
    const enter = `--net=/run/netns/${this.#namespace}`;
    return spawn('nsenter', [enter, command, ...args], { stdio: 'ignore' });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#daemon !== undefined && this.#daemon.exitCode === null) {
      const ids = await this.docker('ps', '-aq').catch(() => '');
      for (const id of ids.split('\n').filter(Boolean)) {
        await this.docker('rm', '-fv', id).catch(() => undefined);
      }
    }
    await this.stopDaemon();
    await unmountBelow(this.directory);
    await run('ip', ['netns', 'del', this.#namespace]).catch(() => undefined);
    await rm(this.directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}

function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const ping = request({ socketPath, path: '/_ping', timeout: 5_000 }, (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200);
    });
    ping.on('timeout', () => ping.destroy());
    ping.on('error', () => resolve(false));
    ping.end();
  });
}

async function unmountBelow(directory: string): Promise<void> {
  const mounts = (await readFile('/proc/self/mounts', 'utf8')).split('\n');
  const below = mounts
    .map((line) => line.split(' ')[1] ?? '')
    .filter((path) => path.startsWith(`${directory}/`));
  for (const path of below.toSorted().toReversed()) {
    await run('umount', ['-l', path]).catch(() => undefined);
  }
}
