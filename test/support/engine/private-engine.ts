import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { describeError } from '../../../src/errors.ts';
import { until } from '../deadline.ts';
import { logOutput } from '../rig/log-output.ts';
import { engineGroup } from '../rig/rig-users.ts';
import { rootAsMountPoint } from '../system/mount-namespace.ts';
import { EngineKeeper } from './engine-keeper.ts';

const run = promisify(execFile);
const startMs = 60_000;
const stopMs = 20_000;

/**
 * A separate dockerd in a separate network namespace: the machine stays unchanged, and the engine cannot
 * reach the network. It ends with its owner, together with everything that it started.
 */
export class PrivateEngine implements AsyncDisposable {
  readonly directory: string;
  readonly socketPath: string;
  readonly #keeper: EngineKeeper;
  #daemon: ChildProcess | undefined;

  /** Further command line options of dockerd, from the next start of the daemon on. */
  options: readonly string[] = [];

  private constructor(directory: string, socketPath = join(directory, 'docker.sock')) {
    this.directory = directory;
    this.socketPath = socketPath;
    const host = `unix://${socketPath}`;
    this.#keeper = new EngineKeeper({ directory, host });
  }

  /** The reason why no private engine can run here, undefined when one can. */
  static async missing(): Promise<string | undefined> {
    if (process.getuid?.() !== 0) return 'needs root';
    for (const program of ['dockerd', 'docker', 'ip', 'nsenter', 'busybox']) {
      const found = await run('sh', ['-c', `command -v ${program}`]).catch(() => undefined);
      if (found === undefined) return `${program} is not installed`;
    }
    const mounts = await readFile('/proc/self/mounts', 'utf8');
    if (!/ cgroup2? /.test(mounts)) return 'no cgroups are mounted: mount --rbind /sys, or cgroup2';
    return undefined;
  }

  /** Starts an engine, by default on a socket in its directory; members of `engineGroup` may connect. */
  static async start(socketPath?: string, options: readonly string[] = []): Promise<PrivateEngine> {
    const directory = await mkdtemp(join(tmpdir(), 'iotedge-engine-'));
    const engine = new PrivateEngine(directory, socketPath);
    engine.options = options;
    try {
      // not by `ip netns`, which leaves a mount on /run/netns and wants `/` to be a mount point
      await writeFile(join(directory, 'net'), '');
      await run('unshare', [engine.#network, 'ip', 'link', 'set', 'lo', 'up']);
      await engine.startDaemon();
      return engine;
    } catch (error) {
      await engine[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Starts the daemon again after `stopDaemon`; its containers and images are still there. */
  async startDaemon(): Promise<void> {
    // after a crash the containerd of the last daemon is dead; where no process reaps orphans, it appears alive
    await rm(join(this.directory, 'exec/containerd/containerd.pid'), { force: true });
    const daemon = spawn(
      'nsenter',
      [this.#network, ...rootAsMountPoint(), 'dockerd', ...this.#arguments()],
      { stdio: ['ignore', 'pipe', 'pipe'], detached: true }, // the keeper ends it, not a Ctrl-C
    );
    logOutput(daemon, join(this.directory, 'dockerd.log'));
    this.#daemon = daemon;
    await this.#untilReady(daemon);
  }

  get #network(): string {
    return `--net=${this.directory}/net`;
  }

  #arguments(): readonly string[] {
    return [
      ['--data-root', join(this.directory, 'data')],
      ['--exec-root', join(this.directory, 'exec')],
      ['--pidfile', join(this.directory, 'dockerd.pid')],
      ['--host', `unix://${this.socketPath}`],
      ['--group', String(engineGroup)],
      this.options,
    ].flat();
  }

  async #untilReady(daemon: ChildProcess): Promise<void> {
    const replies = async (): Promise<boolean> => {
      if (daemon.exitCode !== null) throw new Error(`dockerd ended: ${await this.#logTail()}`);
      return isReady(this.socketPath);
    };
    try {
      await until(startMs, 'dockerd to reply', replies);
    } catch (error) {
      throw new Error(`${describeError(error)}: ${await this.#logTail()}`, { cause: error });
    }
  }

  async #logTail(): Promise<string> {
    return (await readFile(join(this.directory, 'dockerd.log'), 'utf8')).slice(-2000);
  }

  /** Stops the daemon. On SIGTERM it stops its containers; they outlive a crash. */
  async stopDaemon(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const daemon = this.#daemon;
    this.#daemon = undefined;
    if (daemon === undefined || daemon.exitCode !== null || daemon.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => daemon.once('exit', () => resolve()));
    daemon.kill(signal);
    const late = sleep(stopMs, 'late', { ref: false });
    if ((await Promise.race([ended, late])) === 'late') {
      daemon.kill('SIGKILL');
      await ended;
    }
  }

  /** Sends a signal to the daemon, which may go on then. */
  signalDaemon(signal: NodeJS.Signals): void {
    this.#daemon?.kill(signal);
  }

  /** Runs the docker command line client on this engine. */
  async docker(...args: readonly string[]): Promise<string> {
    const { stdout } = await run('docker', ['-H', `unix://${this.socketPath}`, ...args], {
      timeout: startMs,
    });
    return stdout.trim();
  }

  /** Starts a program in the engine's network namespace; the caller ends it. */
  spawnInNetwork(command: string, ...args: readonly string[]): ChildProcess {
    return spawn('nsenter', [this.#network, command, ...args], { stdio: 'ignore' });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#keeper[Symbol.asyncDispose]();
  }
}

function isReady(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const ping = request({ socketPath, path: '/_ping', timeout: 5_000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    ping.on('timeout', () => ping.destroy());
    ping.on('error', () => resolve(false));
    ping.end();
  });
}
