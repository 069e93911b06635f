/**
 * Reloading the configuration, which a service manager requests with SIGHUP:
 *
 *   SIGHUP ─► RELOADING=1 ─► read ─► applied ─► READY=1
 *                              └───► refused: the old one stays, LastError and the journal report why
 *
 * Reloads run one after the other, one for each request.
 */
import { describeError } from '../../errors.ts';
import { ConfigError, formatProblem, type Problem } from '../config/config-problem.ts';
import type { Log } from '../log/log.ts';
import { Mutex } from '../mutex.ts';

/** The steps of a reload, and who is notified of it. */
export interface ReloadOptions<T> {
  /** Reads the configuration; throws `ConfigError` when it is invalid. */
  readonly load: () => Promise<T>;
  /** Applies it; a rejection leaves the old one unchanged. */
  readonly apply: (loaded: T) => Promise<void>;
  /** Reports why the configuration on the disk is not in force, '' when it is. */
  readonly setProblem: (problem: string) => void;
  /** Notifies systemd of the state of the process. */
  readonly notify: (state: string) => boolean;
  /** Aborted when the service stops: no reload runs any more. */
  readonly stop: AbortSignal;
  readonly log: Log;
}

/** Logging more problems at once would only flood the journal. */
const maxLogged = 20;
const maxProblemLength = 1024;

/** Runs the reloads of a service one after the other. */
export class ReloadQueue<T> {
  readonly #options: ReloadOptions<T>;
  readonly #mutex = new Mutex();
  #pending = 0;

  constructor(options: ReloadOptions<T>) {
    this.#options = options;
  }

  /** Whether a requested reload has not ended. */
  get isPending(): boolean {
    return this.#pending > 0;
  }

  /** Requests one more reload. */
  readonly request = (): void => {
    this.#pending++;
    void this.#mutex.run(async () => {
      await this.#reload();
      this.#pending--;
    });
  };

  async #reload(): Promise<void> {
    const { load, apply, setProblem, notify, stop, log } = this.#options;
    if (stop.aborted) return;
    notify(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`);
    try {
      const loaded = await load();
      if (stop.aborted) return;
      await apply(loaded);
      setProblem('');
      log.info('configuration reloaded');
    } catch (error) {
      if (stop.aborted) return;
      const problems = error instanceof ConfigError ? error.problems : [];
      for (const problem of problems.slice(0, maxLogged)) logProblem(log, problem);
      const why = problems.length > 0 ? shortened(problems) : describeError(error);
      log.error('configuration not reloaded, previous one stays in force', { error: why });
      setProblem(`configuration not reloaded: ${why}`.slice(0, maxProblemLength));
    }
    notify('READY=1');
  }
}

function logProblem(log: Log, { file, line, column, path: setting, message }: Problem): void {
  log.error('invalid configuration', { file, line, column, setting, problem: message });
}

function shortened([first, ...others]: readonly Problem[]): string {
  const text = first === undefined ? '' : formatProblem(first);
  return others.length === 0 ? text : `${text} (and ${others.length} more)`;
}
