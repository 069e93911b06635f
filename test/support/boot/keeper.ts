import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { deadline } from '../deadline.ts';
import { keepMounts, newMountNamespace } from '../system/mount-namespace.ts';

/**
 * The keeper outlives its owner until it has cleaned up. It holds what survives a reboot: a tmpfs with the layer, in a
 * mount namespace, and a network namespace with nothing but a loopback device. It waits for the end of its standard input, which ends when the owner dies. The booted
 * system ends with its owner by itself; only then its control groups are empty.
 */
const script = `
trap '' INT TERM HUP
directory=$1
shift
${keepMounts}
mkdir "$directory/layer"
mount -t tmpfs -o mode=755 tmpfs "$directory/layer"
mkdir "$directory/layer/upper" "$directory/layer/work" "$directory/layer/root" "$directory/layer/docker"
ip link set lo up
mkdir "$@"
echo ready
exec >/dev/null
cat
umount -l "$directory/layer"
for attempt in $(seq 200); do
  find "$@" -depth -type d -exec rmdir {} + 2>/dev/null
  [ -n "$(ls -d "$@" 2>/dev/null)" ] || break
  sleep 0.1
done
rm -rf --one-file-system "$directory"
`;

/** Holds what the boots of one system share, and removes it, also when its owner is killed. */
export class Keeper implements AsyncDisposable {
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess) {
    this.#process = process;
  }

  /** The layer is in `directory`, which is removed at the end; `groups` are the directories of control groups. */
  static async start(directory: string, groups: readonly string[]): Promise<Keeper> {
    const [unshare, ...options] = [...newMountNamespace, '--net'] as const;
    const command = ['sh', '-uc', script, 'keeper', directory, ...groups];
    const child = spawn(unshare, [...options, ...command], {
      stdio: ['pipe', 'pipe', 'inherit'],
      detached: true,
    });
    const ready = new Promise<void>((resolve, reject) => {
      child.stdout.once('data', () => resolve());
      child.stdout.once('end', () => reject(new Error('the layer cannot be mounted')));
    });
    const keeper = new Keeper(child);
    try {
      await deadline(10_000, ready, 'the layer');
    } catch (error) {
      await keeper[Symbol.asyncDispose]();
      throw error;
    }
    return keeper;
  }

  /** The command line prefix that runs a program in its namespaces. */
  get enter(): readonly string[] {
    return ['nsenter', `--target=${this.#process.pid}`, '--mount', '--net', '--'];
  }

  /** The command line prefix that runs a program of this machine in its network. */
  get enterNetwork(): readonly string[] {
    return ['nsenter', `--target=${this.#process.pid}`, '--net', '--'];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null) return;
    const exit = once(this.#process, 'exit');
    this.#process.stdin?.end();
    await deadline(30_000, exit, 'the layer to be removed');
  }
}
