import { describeError, isServiceError } from '../../../errors.ts';
import { JoinedSignal } from '../../../service/joined-signal.ts';
import type { Log } from '../../../service/log/log.ts';
import type { DesiredState } from '../desired-state.ts';
import type { ModuleType } from '../module-type.ts';
import type { OperationSlot, PendingOperation } from '../pending-operation.ts';
import type { Step } from '../plan.ts';
import type { StatusTracker } from '../status.ts';
import { CleanUp, isCleanUpPhase } from './clean-up.ts';
import type { FailedOutput } from './failed-output.ts';
import { type Former, FormerInstances, type FormerOptions } from './former.ts';
import type { EndedRemoval, Removals } from './removals.ts';

/** How long an operation waits for the clean-up of an update. */
const awaitedMs = 10_000;
/** How long a deletion waits until what was kept is released. */
const releasedMs = 1_000;

/** Dependencies of the leftovers. */
export interface LeftoversOptions extends FormerOptions {
  readonly type: FormerOptions['type'] & Pick<ModuleType, 'release'>;
  readonly now: () => Date;
  readonly log: Log;
}

/** The state of the module that they change. */
export interface LeftoversState {
  readonly desired: DesiredState;
  readonly status: StatusTracker;
  readonly operation: OperationSlot;
  readonly removals: Removals;
  readonly failedOutput: Pick<FailedOutput, 'read'>;
}

/**
 * What the updates of a module have left to be removed, with a note in its status while that fails. It is removed beside
 * the loop of a module that stays.
 */
export class Leftovers {
  readonly #options: LeftoversOptions;
  readonly #state: LeftoversState;
  /** Of the last update. */
  readonly #cleanUp: CleanUp;
  /** Of those before. */
  readonly #former: FormerInstances;
  /** Until when an operation waits for the clean-up of the last update. */
  #awaitedUntil: Date | undefined;
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
    return [
      update && this.#cleanUp.retryAt,
      this.isPending ? this.#awaitedUntil : undefined,
      former.length > 0 ? this.#former.retryAt : undefined,
    ];
  }

  /** Whether a step of the clean-up of the last update is not due yet, or is taken already. */
  isDelayed(step: Step): boolean {
    if (this.#cleanUp.retryAt !== undefined) return true;
    const { removals } = this.#state;
    return step.kind === 'remove' && (removals.has(step.id) || removals.isFull);
  }

  /** Whether the clean-up of the last update is pending, and has been for a short time only. */
  get isPending(): boolean {
    const { desired, removals } = this.#state;
    const { badId, oldId } = { ...desired.update };
    const isRemoved = [oldId, badId].some((id) => id !== undefined && removals.has(id));
    if (!isRemoved || !isCleanUpPhase(desired.update)) return false;
    return this.#awaitedUntil !== undefined && this.#options.now() < this.#awaitedUntil;
  }

  /** Whether the operation is that of an update whose clean-up alone has not ended. */
  get isAwaited(): boolean {
    return this.isPending && isUpdate(this.#state.operation.current);
  }

  /** Begins to remove the instance of the last update that does not stay. */
  begin(id: string): void {
    this.#awaitedUntil = new Date(this.#options.now().getTime() + awaitedMs);
    const { desired, failedOutput, removals } = this.#state;
    const { badId, other } = { ...desired.update };
    const read =
      id === badId && other !== undefined
        ? (signal: AbortSignal) => failedOutput.read(id, other.settings.image, signal)
        : undefined;
    removals.begin(id, read);
  }

  /** Notes the removals that have ended. */
  settle(): void {
    for (const ended of this.#state.removals.takeEnded()) this.#settled(ended);
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
    if (isUpdate(operation.current)) operation.reach();
  }

  /** Resolves to whether what is kept for a module that is deleted could be released at once. */
  async release(signal: AbortSignal): Promise<boolean> {
    const { log, name, type } = this.#options;
    using limited = JoinedSignal.within(releasedMs, signal);
    try {
      await type.release(name, limited.signal);
      return true;
    } catch (error) {
      signal.throwIfAborted();
      log.info('image of a deleted module kept', { module: name, error: describeError(error) });
      return false;
    }
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

  /** As `removeNext`, beside a module that stays: resolves to whether one is gone. */
  async clear(former: Former, signal: AbortSignal): Promise<boolean> {
    if (this.#former.retryAt !== undefined) return false;
    const { removals } = this.#state;
    const id = this.#former.nextOf(former);
    // one at a time: the other one may be that of the last update
    if (id !== undefined && !former.presentIds.some((one) => removals.has(one))) removals.begin(id);
    try {
      if (!(await this.#former.forget(former.goneIds))) return false;
      this.removed();
      return true;
    } catch (error) {
      signal.throwIfAborted();
      this.#noteLeft(error);
      return false;
    }
  }

  #settled({ id, error }: EndedRemoval): void {
    const { log, name } = this.#options;
    const { former, update } = this.#state.desired;
    if (error === undefined) return log.info('module step done', { module: name, step: 'remove' });
    if (former.includes(id)) {
      this.#former.failed();
      this.#noteLeft(error);
    } else if (isCleanUpPhase(update) && (id === update?.oldId || id === update?.badId)) {
      this.leave(error);
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

function isUpdate(operation: PendingOperation | undefined): boolean {
  const until = operation?.options.until;
  return until === 'started' || until === 'proven';
}
