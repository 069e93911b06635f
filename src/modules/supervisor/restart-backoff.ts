/**
 * When a module may be tried again. It failed when its container ended although it shall run, and when
 * something could not be done for it. It did not fail
 *
 *   - with the first end that is seen: the process is new and nobody knows what was before;
 *   - when it was stopped here;
 *   - when the first look since the engine was reached shows an end from before that. An engine that is
 *     stopped closes its door first, then ends the containers, and one that crashed ends them when it
 *     starts again: such an end is never seen before the engine is back. Later looks excuse nothing: the
 *     clock may have been set back since;
 *   - when the engine went away while something was done for it: that cut it short.
 */
import type { Log } from '../../service/log/log.ts';
import type { Container } from '../docker/engine.ts';
import { Backoff } from './backoff.ts';
import type { Goal } from './goal.ts';

/** What recovery needs. */
export interface RestartBackoffOptions {
  readonly name: string;
  readonly now: () => Date;
  readonly log: Log;
}

/** What went wrong with a module, and until when it is left alone for that. */
export class RestartBackoff {
  readonly #options: RestartBackoffOptions;
  readonly #backoff = new Backoff();
  readonly #observations = new Backoff();
  /** When the engine was reached that answered the last look. */
  #reachedMs: number | undefined;
  /** When the container ended, 0 when it has not, undefined when that is not known yet. */
  #lastEnd: number | undefined;
  #endedItself = false;

  constructor(options: RestartBackoffOptions) {
    this.#options = options;
  }

  /** Whether the container is one that has ended. */
  get hasEnded(): boolean {
    return (this.#lastEnd ?? 0) > 0;
  }

  /** Whether it ended by itself, as far as that was seen, and was not started since. */
  get endedItself(): boolean {
    return this.#endedItself;
  }

  /** Until when nothing is to be tried, undefined when it may be tried now. */
  get retryAt(): Date | undefined {
    return this.#backoff.until(this.#options.now());
  }

  /** Forgets all failures: what they came from may have changed. */
  reset(): void {
    this.#backoff.reset();
    this.#observations.reset();
  }

  /** Notes that an attempt failed; answers when to try again. */
  failed(): Date | undefined {
    // What fails while it waits anyway, such as a stop, is no further attempt.
    if (this.retryAt === undefined) this.#backoff.failed(this.#options.now());
    return this.retryAt;
  }

  /** Notes that the container could not be looked at, which says nothing of the module; answers when to look again. */
  unobserved(): Date | undefined {
    const now = this.#options.now();
    this.#observations.failed(now);
    return this.#observations.until(now);
  }

  /** Notes that the container was stopped here: that end is no failure of the module. */
  stopped(): void {
    this.#lastEnd = undefined;
    this.#endedItself = false;
  }

  /** Notes that the container was started here: the next end is a new one, even if nobody knows when it was. */
  started(): void {
    this.#lastEnd = 0;
  }

  /** Notes how the container is, by an engine that is there since then. */
  observed(container: Container | undefined, goal: Goal, since: Date | undefined): void {
    const { name, now, log } = this.#options;
    this.#observations.reset();
    const reachedMs = since?.getTime();
    const isFirst = reachedMs !== this.#reachedMs;
    this.#reachedMs = reachedMs;
    const before = this.#lastEnd;
    const state = container?.state;
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
    this.#backoff.failed(now(), ranMs);
  }
}
