import { describeError, isServiceError } from '../../../errors.ts';
import type { Log } from '../../../service/log/log.ts';
import type { DesiredState } from '../desired-state.ts';
import type { OperationSlot } from '../pending-operation.ts';
import type { StatusTracker } from '../status.ts';
import { CleanUp } from './clean-up.ts';
import { type Former, FormerInstances, type FormerOptions } from './former.ts';

/** Dependencies of the leftovers. */
export interface LeftoversOptions extends FormerOptions {
  readonly now: () => Date;
  readonly log: Log;
}

/** The state of the module that they change. */
export interface LeftoversState {
  readonly desired: DesiredState;
  readonly status: StatusTracker;
  readonly operation: OperationSlot;
}

/** What the updates of a module have left to be removed, with a note in its status while that fails. */
export class Leftovers {
  readonly #options: LeftoversOptions;
  readonly #state: LeftoversState;
  /** Of the last update. */
  readonly #cleanUp: CleanUp;
  /** Of those before. */
  readonly #former: FormerInstances;
  /** Whether the status has a note about a removal that failed. */
  #isLeft = false;

  constructor(options: LeftoversOptions, state: LeftoversState) {
    this.#options = options;
    this.#state = state;
    this.#cleanUp = new CleanUp(options.now);
    this.#former = new FormerInstances(options, state.desired);
  }

  /** When the next attempts are due, undefined for those that are due now. */
  get retryTimes(): readonly (Date | undefined)[] {
    const { former, update } = this.#state.desired;
    return [update && this.#cleanUp.retryAt, former.length > 0 ? this.#former.retryAt : undefined];
  }

  /** Whether the clean-up of the last update has failed and is not due yet. */
  get isDelayed(): boolean {
    return this.#cleanUp.retryAt !== undefined;
  }

  /** Makes all attempts due now: the cause of a failure may have changed. */
  reset(): void {
    this.#cleanUp.reset();
    this.#former.reset();
  }

  /** Leaves the clean-up of an update that failed for later: the module does not depend on it. */
  leave(error: unknown): void {
    const { operation } = this.#state;
    this.#noteLeft(error);
    this.#cleanUp.failed();
    const { until } = { ...operation.current?.options };
    if (until === 'started' || until === 'proven') operation.reach();
  }

  /** Takes back the note about what could not be removed, when nothing is left. */
  removed(): void {
    const { desired, status } = this.#state;
    if (!this.#isLeft || desired.update !== undefined || desired.former.length > 0) return;
    this.#isLeft = false;
    status.note({ note: '' });
  }

  /** Removes one that an earlier update has left; resolves to whether there was any. */
  removeNext(former: Former, signal: AbortSignal): Promise<boolean> {
    return this.#former.removeNext(former, signal);
  }

  /** As `removeNext`, beside a module that stays: resolves to whether one was removed. */
  async clear(former: Former, signal: AbortSignal): Promise<boolean> {
    if (this.#former.retryAt !== undefined) return false;
    try {
      if (!(await this.#former.removeNext(former, signal))) return false;
      this.removed();
      return true;
    } catch (error) {
      signal.throwIfAborted();
      this.#noteLeft(error);
      return false;
    }
  }

  #noteLeft(error: unknown): void {
    const { log, name } = this.#options;
    const { status } = this.#state;
    log.warn('update not cleaned up', { module: name, error: describeError(error) });
    const cause = isServiceError(error) ? error.message : 'internal error';
    status.end();
    status.note({ note: `what is left of an update cannot be removed: ${cause}` });
    this.#isLeft = true;
  }
}
