import type { Log } from '../service/log.ts';
import { Backoff } from './backoff.ts';
import type { Container } from './engine.ts';
import type { Goal } from './goal.ts';

/** What recovery needs. */
export interface RecoveryOptions {
  readonly name: string;
  readonly now: () => Date;
  readonly log: Log;
}

/** When a module may be tried again that has ended or that could not be made. */
export class Recovery {
  readonly #options: RecoveryOptions;
  readonly #backoff = new Backoff();
  /** When the container ended, 0 when it has not, undefined when that is not known yet. */
  #lastEnd: number | undefined;

  constructor(options: RecoveryOptions) {
    this.#options = options;
  }

  /** Whether the container is one that has ended. */
  get hasEnded(): boolean {
    return (this.#lastEnd ?? 0) > 0;
  }

  /** Until when nothing is to be tried, undefined when it may be tried now. */
  get until(): Date | undefined {
    return this.#backoff.until(this.#options.now());
  }

  /** Forgets all failures: what they came from may have changed. */
  reset(): void {
    this.#backoff.reset();
  }

  /** Notes that an attempt failed. */
  failed(): void {
    // What fails while it waits anyway is no further attempt: an engine that goes has much to say.
    if (this.until === undefined) this.#backoff.failed(this.#options.now());
  }

  /** Notes that the container was stopped here: that end is no failure of the module. */
  stopped(): void {
    this.#lastEnd = undefined;
  }

  /** Notes whether the container has ended although it shall run; the first end that is seen does not count. */
  look(container: Container | undefined, goal: Goal): void {
    const { name, now, log } = this.#options;
    const before = this.#lastEnd;
    const state = container?.state;
    const end = state?.kind === 'exited' ? (state.finishedAt?.getTime() ?? 1) : 0;
    this.#lastEnd = end;
    if (state?.kind !== 'exited' || before === undefined || before === end) return;
    if (goal !== 'started') return;
    const { exitCode, startedAt } = state;
    const ranMs = end - (startedAt?.getTime() ?? end);
    this.#backoff.failed(now(), ranMs);
    log.warn('module ended', { module: name, exitCode, ranMs });
  }
}
