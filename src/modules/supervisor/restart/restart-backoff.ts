/**
 * Restart backoff of a module. It failed when its instance ended although it is to run, and when a step
 * failed. It did not fail
 *
 *   - with the first end that is observed: this process does not know the state before;
 *   - when it was stopped by the runtime;
 *   - when the first observation since the engine was reached shows an end from before that. An engine that is
 *     stopped closes its socket first, then ends the instances, and one that crashed ends them when it
 *     starts again: such an end is never observed before the engine is back. Later observations excuse nothing: the
 *     clock may have been set back since;
 *   - when the engine became unreachable during a step;
 *   - when another client of the engine stopped, killed or removed the instance.
 */
import { Backoff } from '../../../service/backoff.ts';
import type { Log } from '../../../service/log/log.ts';
import type { Goal } from '../desired-state.ts';
import type { Instance } from '../module-type.ts';
import type { RestartCause } from './restart-reason.ts';

/** Dependencies of the backoff. */
export interface RestartBackoffOptions {
  readonly name: string;
  readonly now: () => Date;
  readonly log: Log;
  readonly restartDelays?: Partial<RestartDelays> | undefined;
}

/** Why an instance ended that is to run. */
export type EndCause = Extract<RestartCause, 'exited' | 'engine-restart' | 'not-running'>;

/** The delays before a module is restarted. */
export interface RestartDelays {
  /** Before the first restart of a module that ended or is unhealthy: a crash is most often the only one. */
  readonly onceMs: number;
  /** Before the next one; it doubles with each further failure. */
  readonly firstMs: number;
  readonly maxMs: number;
  /** After running for this long a failure counts as the first one again. */
  readonly healthyMs: number;
}

const restartDelays = { onceMs: 200, firstMs: 10_000, maxMs: 300_000, healthyMs: 600_000 };

/** Without jitter: each device has its own engine, and users can predict when a module is restarted. */
function exactBackoff(firstMs: number, maxMs: number): Backoff {
  return new Backoff({ minMs: 0, firstMs, maxMs }, () => 1);
}

/**
 * The failures of a module and its backoff: a module that ran is restarted almost at once, then after 10 s, doubled with
 * each further failure, 300 s at most.
 */
export class RestartBackoff {
  readonly #options: RestartBackoffOptions;
  readonly #delays: RestartDelays;
  readonly #once: Backoff;
  readonly #backoff: Backoff;
  readonly #observations: Backoff;
  /** Whether it was restarted at once since the failures were reset. */
  #hasRestarted = false;
  /** When the engine of the last observation was reached. */
  #reachedMs: number | undefined;
  /** When the instance ended, 0 when it has not, undefined when that is not known yet. */
  #lastEnd: number | undefined;
  /** Whether the runtime stopped it since the last observation. */
  #isStopped = false;
  #endCause: EndCause | undefined;
  /** Whether another client ended it. */
  #isKilled = false;

  constructor(options: RestartBackoffOptions) {
    this.#options = options;
    const delays = { ...restartDelays, ...options.restartDelays };
    this.#delays = delays;
    this.#once = exactBackoff(delays.onceMs, delays.onceMs);
    this.#backoff = exactBackoff(delays.firstMs, delays.maxMs);
    this.#observations = exactBackoff(delays.firstMs, delays.maxMs);
  }

  /** Why the instance ended, undefined when it has not, or when that was requested. */
  get endCause(): EndCause | undefined {
    return this.#endCause;
  }

  /** Whether it was observed to end by itself and was not started since: another client did not stop or kill it. */
  get endedItself(): boolean {
    return this.#endCause === 'exited' && !this.#isKilled;
  }

  /** When the next attempt is due, undefined when it may be made now. */
  get retryAt(): Date | undefined {
    const now = this.#options.now();
    return this.#backoff.retryAt(now) ?? this.#once.retryAt(now);
  }

  /** Resets all delays: the cause of the failures may have changed. */
  reset(): void {
    this.#hasRestarted = false;
    this.#once.reset();
    this.#backoff.reset();
    this.#observations.reset();
  }

  /** Records a failed attempt; returns when to retry. */
  failed(): Date | undefined {
    // a failure during the delay, such as of a stop, does not prolong it
    if (this.retryAt === undefined) this.#backoff.failed(this.#options.now());
    return this.retryAt;
  }

  /** Records that its run failed after so long. */
  ran(lastedMs: number): void {
    const now = this.#options.now();
    if (lastedMs >= this.#delays.healthyMs) this.reset();
    const isFirst = !this.#hasRestarted;
    this.#hasRestarted = true;
    (isFirst ? this.#once : this.#backoff).failed(now);
  }

  /** Records a failed observation, which is not a failure of the module; returns when to observe again. */
  unobserved(): Date | undefined {
    const now = this.#options.now();
    this.#observations.failed(now);
    return this.#observations.retryAt(now);
  }

  /** Records that the runtime stopped the instance: that end is not a failure of the module. */
  stopped(): void {
    this.#lastEnd = undefined;
    this.#endCause = undefined;
    this.#isStopped = true;
  }

  /** Records that the runtime started the instance: the next end is a new one, even if its time is unknown. */
  started(): void {
    this.#lastEnd = 0;
  }

  /** Records an observation of the instance, by an engine that is reachable since then. */
  observed(instance: Instance | undefined, goal: Goal, since: Date | undefined): void {
    const { name, log } = this.#options;
    this.#observations.reset();
    const reachedMs = since?.getTime();
    const isFirst = reachedMs !== this.#reachedMs;
    this.#reachedMs = reachedMs;
    const before = this.#lastEnd;
    const state = instance?.state;
    if (state?.kind !== 'exited') this.#endCause = undefined;
    const end = state?.kind === 'exited' ? (state.finishedAt?.getTime() ?? 1) : 0;
    this.#lastEnd = end;
    this.#isKilled = instance?.killed === true;
    const isStopped = this.#isStopped;
    this.#isStopped = false;
    if (state?.kind !== 'exited' || before === end) return;
    if (before === undefined && !isStopped) this.#endCause = 'not-running';
    if (goal !== 'started' || before === undefined) return;
    const { exitCode, startedAt } = state;
    const ranMs = end - (startedAt?.getTime() ?? end);
    const fields = { module: name, exitCode, ranMs };
    if (isFirst && reachedMs !== undefined && end <= reachedMs) {
      log.info('module ended with the container engine', fields);
      this.#endCause = 'engine-restart';
      return;
    }
    log.warn('module ended', fields);
    this.#endCause = 'exited';
    if (this.#isKilled) this.#once.failed(this.#options.now());
    else this.ran(ranMs);
  }
}
