import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { deadline } from '../deadline.ts';

/**
 * Waits for the end of its standard input, which also ends when its owner is killed. Then it removes the containers, the
 * daemon, its remaining processes and mounts, its network namespace, and its directory.
 */
const keeper = `
trap '' INT TERM HUP
directory=$1 host=$2
cat
containers() { timeout 20 docker -H "$host" ps -aq; }
left() { grep -la "$directory/exe[c]" /proc/[0-9]*/cmdline | cut -d/ -f3; }
if daemon=$(cat "$directory/dockerd.pid") && kill -0 "$daemon"; then
  containers | xargs -r timeout 30 docker -H "$host" rm -fv
  kill "$daemon"
  for i in $(seq 400); do
    kill -0 "$daemon" || break
    sleep 0.05
  done
fi
kill -KILL $(left)
cut -d ' ' -f 2 /proc/self/mounts | grep -F "$directory/" | sort -r | xargs -r -n 1 umount -l
rm -rf --one-file-system "$directory"
`;

/** The parts that the keeper cleans up. */
export interface EngineParts {
  readonly directory: string;
  readonly host: string;
}

/** Cleans an engine up when its owner ends, even by a kill. */
export class EngineKeeper implements AsyncDisposable {
  readonly #process: ChildProcess;

  constructor({ directory, host }: EngineParts) {
    this.#process = spawn('sh', ['-c', keeper, 'keeper', directory, host], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null) return;
    const exit = once(this.#process, 'exit');
    this.#process.stdin?.end();
    await deadline(90_000, exit, 'the engine to end');
  }
}
