import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { deadline, untilFound } from '../deadline.ts';
import { newMountNamespace } from '../system/mount-namespace.ts';
import type { ControlGroups } from './control-groups.ts';
import { becomeScript, initScript } from './init-script.ts';

const startMs = 20_000;
const endMs = 20_000;

export interface Layers {
  /** The command line prefix that runs a program where the layer is mounted. */
  readonly enter: readonly string[];
  readonly layer: string;
  /** Directories that are not changed, the topmost first. */
  readonly lower: readonly string[];
  readonly groups: ControlGroups;
}

/** A systemd that is process 1 in namespaces of its own. It and all below it end with this process. */
export class InitProcess {
  readonly #process: ChildProcess;
  #console = '';
  #pid = 0;

  private constructor(layers: Layers) {
    const { hierarchies, directories } = layers.groups;
    const groups = hierarchies.map((name, index) => `${name}=${directories[index]}`);
    const places = [layers.layer, layers.lower.join(':'), ...groups];
    const [unshare, ...unshared] = newMountNamespace;
    const own = ['--pid', '--fork', '--kill-child', '--uts', '--ipc'];
    const program = [unshare, ...unshared, ...own, 'sh', '-euc', initScript, 'systemd'];
    this.#process = spawn('setpriv', ['--pdeathsig=KILL', ...layers.enter, ...program, ...places], {
      env: { ...process.env, become: becomeScript },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#console += text;
      });
    }
  }

  static async start(layers: Layers): Promise<InitProcess> {
    const init = new InitProcess(layers);
    const what = () => `the system to start: ${init.console}`;
    init.#pid = await untilFound(startMs, what, async () => {
      const pid = /^process (\d+)$/m.exec(init.console)?.[1];
      if (pid === undefined && init.#hasEnded) throw new Error(`no system: ${init.console}`);
      return pid === undefined ? undefined : Number(pid);
    });
    return init;
  }

  /** The process id on this machine. */
  get pid(): number {
    return this.#pid;
  }

  /** What was printed on the console. */
  get console(): string {
    return this.#console;
  }

  /** The command line prefix that runs a program in the namespaces. */
  get enter(): readonly string[] {
    const namespaces = ['--mount', '--uts', '--ipc', '--net', '--pid', '--cgroup'];
    return ['nsenter', `--target=${this.#pid}`, ...namespaces, '--'];
  }

  kill(): void {
    this.#process.kill('SIGKILL');
  }

  /** Waits until nothing of the system runs. */
  async ended(): Promise<void> {
    if (this.#hasEnded) return;
    await deadline(endMs, once(this.#process, 'exit'), () => `the system to end: ${this.#console}`);
  }

  get #hasEnded(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null;
  }
}
