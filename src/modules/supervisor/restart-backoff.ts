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
 *   - when the engine became unreachable during a step.
 */
import { Backoff } from '../../service/backoff.ts';
import type { Log } from '../../service/log/log.ts';
import type { Goal } from './desired-state.ts';
import type { Instance } from './module-type.ts';

/** Dependencies of the backoff. */
export interface RestartBackoffOptions {
  readonly name: string;
  readonly now: () => Date;
  readonly log: Log;
}

const backoffOptions = { minMs: 0, firstMs: 10_000, maxMs: 300_000, healthyMs: 600_000 };

/** Without jitter: each device has its own engine, and users can predict when a module is restarted. */
function exactBackoff(): Backoff {
  return new Backoff(backoffOptions, () => 1);
}

/** The failures of a module and its backoff: 10 s, doubled with each further failure, 300 s at most. */
export class RestartBackoff {
  readonly #options: RestartBackoffOptions;
  readonly #backoff = exactBackoff();
  readonly #observations = exactBackoff();
  /** When the engine of the last observation was reached. */
  #reachedMs: number | undefined;
  /** When the instance ended, 0 when it has not, undefined when that is not known yet. */
  #lastEnd: number | undefined;
  #endedItself = false;

  constructor(options: RestartBackoffOptions) {
    this.#options = options;
  }

  /** Whether the instance is one that has ended. */
  get hasEnded(): boolean {
    return (this.#lastEnd ?? 0) > 0;
  }

  /** Whether it was observed to end by itself and was not started since. */
  get endedItself(): boolean {
    return this.#endedItself;
  }

  /** When the next attempt is due, undefined when it may be made now. */
  get retryAt(): Date | undefined {
    return this.#backoff.retryAt(this.#options.now());
  }

  /** Resets all delays: the cause of the failures may have changed. */
  reset(): void {
    this.#backoff.reset();
    this.#observations.reset();
  }

  /** Records a failed attempt; returns when to retry. */
  failed(): Date | undefined {
    // a failure during the delay, such as of a stop, does not prolong it
    if (this.retryAt === undefined) this.#backoff.failed(this.#options.now());
    return this.retryAt;
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
    this.#endedItself = false;
  }

  /** Records that the runtime started the instance: the next end is a new one, even if its time is unknown. */
  started(): void {
    this.#lastEnd = 0;
  }

  /** Records an observation of the instance, by an engine that is reachable since then. */
  observed(instance: Instance | undefined, goal: Goal, since: Date | undefined): void {
    const { name, now, log } = this.#options;
    this.#observations.reset();
    const reachedMs = since?.getTime();
    const isFirst = reachedMs !== this.#reachedMs;
    this.#reachedMs = reachedMs;
    const before = this.#lastEnd;
    const state = instance?.state;
    if (state?.kind !== 'exited') this.#endedItself = false;
    const end = state?.kind === 'exited' ? (state.finishedAt?.getTime() ?? 1) : 0;
    this.#lastEnd = end;
    if (state?.kind !== 'exited' || before === undefined || before === end) return;
    if (goal !== 'started') return;
    const { exitCode, startedAt } = state;
    const ranMs = end - (startedAt?.getTime() ?? end);
    const fields = { module: name, exitCode, ranMs };
    if (isFirst && reachedMs !== undefined && end <= reachedMs) {
      log.info('module ended with the container engine', fields);
      return;
    }
    log.warn('module ended', fields);
    this.#endedItself = true;
    this.#backoff.failed(now(), { lastedMs: ranMs });
  }
}
