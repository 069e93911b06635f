import { describeError, isServiceError, ServiceError } from '../../errors.ts';
import { JoinedSignal } from '../../service/joined-signal.ts';
import { DesiredState, type DesiredStateOptions, type Goal, isAbsence } from './desired-state.ts';
import type { EngineStatus } from './engine-monitor.ts';
import { IdleWaiters } from './idle-waiters.ts';
import type { InstanceEnd } from './module-type.ts';
import { Observer } from './observer.ts';
import { isUpdate, OperationSlot, type PendingOperationOptions } from './pending-operation.ts';
import { type Next, Reconciler, type ReconcilerOptions } from './reconciler.ts';
import { RestartBackoff } from './restart/restart-backoff.ts';
import { restartsAfter } from './restart/restart-policy.ts';
import { type ModuleStatus, StatusTracker } from './status.ts';
import { FailedOutput } from './update/failed-output.ts';
import { PullWarnings } from './update/pull-warnings.ts';
import { Removals } from './update/removals.ts';
import { isExcused, isTransient } from './update/transient.ts';
import { undone } from './update/update.ts';
import { WakeupEvent } from './wakeup-event.ts';

/** Dependencies of a supervisor. */
export interface SupervisorOptions extends ReconcilerOptions, Omit<DesiredStateOptions, 'onGoal'> {
  readonly engineStatus: () => EngineStatus;
  readonly onStatus: (status: ModuleStatus) => void;
  /** The restarts by previous processes, and the warning of their last pull for the configuration in force. */
  readonly restarted?:
    | Pick<ModuleStatus, 'restartCount' | 'restartReason' | 'pullWarning'>
    | undefined;
}

/** Keeps one module in its desired state, in a loop of its own: observes, plans, applies one step, observes again. */
export class Supervisor {
  readonly desired: DesiredState;
  readonly failedOutput: Pick<FailedOutput, 'last'>;
  readonly #options: SupervisorOptions;
  readonly #backoff: RestartBackoff;
  readonly #status: StatusTracker;
  readonly #operation: OperationSlot;
  readonly #observer: Observer;
  readonly #removals: Removals;
  readonly #reconciler: Reconciler;
  readonly #events = new WakeupEvent();
  readonly #idle = new IdleWaiters();
  #round = new AbortController();
  #retries = 0;
  /** Whether it waits for an event. */
  #isIdle = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    const { saved, now, onStatus, restarted } = options;
    const rolledBack = saved.update?.phase === 'rollback' ? saved.rejected?.reason : undefined;
    const initial = { goal: saved.goal, error: saved.failure ?? rolledBack ?? '' };
    const status = new StatusTracker(initial, now, onStatus);
    status.note({ failed: rolledBack !== undefined });
    const pullWarnings = new PullWarnings();
    if (restarted !== undefined) {
      const { pullWarning, restartCount, restartReason } = restarted;
      pullWarnings.set(options.source, pullWarning);
      status.note({ pullWarning, restartCount, restartReason });
    }
    const onGoal = (goal: Goal): void => {
      status.note({ goal, pullWarning: pullWarnings.of(desired.source) });
    };
    const desired = new DesiredState({ ...options, onGoal });
    const backoff = new RestartBackoff(options);
    const operation = new OperationSlot(status);
    const goal = () => desired.goal;
    const update = () => desired.update;
    const formerIds = () => desired.former;
    const observer = new Observer({ ...options, status, backoff, goal, update, formerIds });
    const removals = new Removals({ ...options, onEnd: () => this.wake() });
    const observed = { desired, status, backoff, operation, observer, removals, pullWarnings };
    const failedOutput = new FailedOutput(options);
    this.#reconciler = new Reconciler(options, { ...observed, failedOutput });
    this.failedOutput = failedOutput;
    this.desired = desired;
    this.#status = status;
    this.#backoff = backoff;
    this.#operation = operation;
    this.#observer = observer;
    this.#removals = removals;
  }

  get status(): ModuleStatus {
    return this.#status.current;
  }

  /** Whether the last preparation of its instance, which asks other services, succeeded. */
  get isPrepared(): boolean {
    return this.#reconciler.isPrepared;
  }

  /** Reconciles the module soon: it may have changed. */
  wake(): void {
    this.#events.set();
  }

  /**
   * Publishes the end of an instance that is restarted; a round follows, and confirms it. An engine cannot be asked
   * about the instance before it has released its network, which takes longer than the end itself.
   */
  reportEnd({ id, exitCode, at }: InstanceEnd): void {
    const { restartPolicy, now } = this.#options;
    const { goal, instance, known } = this.status;
    // the outcome of a round is not to be older than this
    if (!this.#isIdle || this.#operation.current !== undefined || !known) return;
    if (instance?.id !== id || instance.state.kind !== 'running' || !instance.ours) return;
    const isRestarted = goal === 'started' && restartsAfter(restartPolicy, exitCode);
    if (!isRestarted || instance.autoRestarts || this.desired.update !== undefined) return;
    const { startedAt } = instance.state;
    this.#status.note({
      instance: {
        ...instance,
        state: { kind: 'exited', exitCode, startedAt, finishedAt: at },
        unhealthy: false,
        health: undefined,
        cgroups: undefined,
      },
      retryAt: now(),
    });
    this.#status.publish();
  }

  /** Retries at once: the cause of the failure may have changed. */
  retry(): void {
    this.#retries++;
    this.#backoff.reset();
    this.#reconciler.retry();
    this.wake();
  }

  /** Interrupts the current step: the desired state has changed. */
  interrupt(): void {
    this.#round.abort();
    this.retry();
  }

  /** Reconciles with a desired state that has just changed; rejects when it is not reached, or with the signal's reason. */
  async reach(options: PendingOperationOptions, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const operation = this.#operation.begin(options);
    this.#reconciler.beginOperation();
    const abort = (): void => this.#operation.fail(operation, signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    this.interrupt();
    try {
      await operation.done;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  /** Publishes the outcome of an operation that has ended. */
  release(): void {
    this.#status.release();
  }

  /** Interrupts the current step for the previous desired state; resolves as `idle`, and holds the status then. */
  async undo(): Promise<void> {
    const outcome = this.#idle.waitForOutcome();
    this.interrupt();
    await outcome;
  }

  /** Undoes an update that has failed, or, without an error, was cancelled. */
  async undoUpdate(error: unknown): Promise<void> {
    const { log, name, now } = this.#options;
    const { update } = this.desired;
    if (update?.phase === 'trial') {
      const reason = error === undefined ? 'cancelled' : describeError(error);
      log.warn('update rolled back', { module: name, error: reason });
    }
    const isVerdict = error !== undefined && !isExcused(error);
    const failure = isVerdict ? { reason: messageOf(error), at: now() } : undefined;
    await this.desired.force((before) => undone(before, failure));
  }

  /** Resolves when the desired state is reached or no step is possible at present. */
  idle(): Promise<void> {
    return this.#idle.wait();
  }

  /** Observes the instance before `run`, to publish its state. Never rejects. */
  async observe(signal: AbortSignal): Promise<void> {
    await this.#observer.observe(signal).catch(() => undefined); // the status is unknown then
    this.#status.publish();
  }

  /** Reconciles until the signal aborts or the module is absent as desired. Never rejects. */
  async run(signal: AbortSignal): Promise<'stopped' | 'absent'> {
    let next: Next = 'again';
    while (!signal.aborted && next !== 'absent') {
      this.#events.clear();
      this.#round = new AbortController();
      using round = new JoinedSignal([signal, this.#round.signal]);
      next = await this.#once(round.signal);
      if (next === 'again' || next === 'absent' || round.signal.aborted) continue;
      this.#becomeIdle(!this.#reconciler.isCleaningUp);
      const delayMs = next && next.getTime() - this.#options.now().getTime();
      this.#isIdle = true;
      await this.#events.wait(delayMs, signal);
      this.#isIdle = false;
    }
    await this.#removals.stop();
    const operation = this.#operation.current;
    if (operation !== undefined) {
      const stopping = new ServiceError('Unavailable', 'the service is stopping');
      this.#operation.fail(operation, stopping);
    }
    this.#becomeIdle(true);
    return next === 'absent' ? next : 'stopped';
  }

  #becomeIdle(isOutcome: boolean): void {
    if (this.#idle.notify(isOutcome)) this.#status.hold();
    else this.#status.publish();
  }

  async #once(signal: AbortSignal): Promise<Next> {
    try {
      return await this.#reconciler.reconcile(signal);
    } catch (error) {
      this.#status.end();
      // an operation took over, or the service stops
      if (signal.aborted) return 'again';
      const retries = this.#retries;
      const next = await this.#failed(error, signal);
      // its cause may have changed while it was handled
      if (this.#retries !== retries) this.#backoff.reset();
      return next;
    }
  }

  async #failed(error: unknown, signal: AbortSignal): Promise<'again' | Date | undefined> {
    const { log, name } = this.#options;
    log.warn('module step failed', { module: name, error: describeError(error) });
    this.#status.note({ error: messageOf(error) });
    const operation = this.#operation.current;
    const phase = this.desired.update?.phase;
    const isVerdict = !isTransient(error);
    const isStart =
      phase === 'trial' && operation !== undefined && !isUpdate(operation) && isVerdict;
    if (!isStart && this.#failedAtOnce(error)) return undefined;
    const next = await this.#observer.afterFailure(signal);
    // the engine was unreachable, or is, or another client changed the instance
    if (next.cause !== 'module') return this.#failedAtOnce(error) ? undefined : next.at;
    this.#status.note({ retryAt: next.at });
    const isFinal = isVerdict || (phase === 'trial' && (await this.#reconciler.isOverdue()));
    const isUndone = isFinal && (operation === undefined || isStart);
    if (isUndone && (await this.#undoneUpdate(error))) {
      if (operation !== undefined) this.#operation.fail(operation, error);
      return 'again';
    }
    const { current } = this.#operation;
    if (current === undefined || (!isFinal && isUpdate(current))) return next.at;
    this.#status.hold();
    this.#operation.fail(current, error);
    return current.options.isUndone() ? undefined : next.at;
  }

  /** Fails an operation whose caller does not wait for another attempt; returns whether it is undone next. */
  #failedAtOnce(error: unknown): boolean {
    const { current } = this.#operation;
    if (current?.options.isPatient() !== false) return false;
    this.#operation.fail(current, error);
    return current.options.isUndone();
  }

  /** Undoes an update that no operation waits for; resolves to whether there is one. */
  async #undoneUpdate(error: unknown): Promise<boolean> {
    const { goal, update } = this.desired;
    if (isAbsence(goal) || (update?.phase !== 'fetch' && update?.phase !== 'trial')) return false;
    await this.undoUpdate(error);
    this.#status.note({ failed: true });
    this.#backoff.reset();
    return true;
  }
}

function messageOf(error: unknown): string {
  return isServiceError(error) ? error.message : 'internal error';
}
