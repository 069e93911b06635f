/** Reconciles one module in a loop of its own: observes, plans, applies one step, observes again. */
import { ownRequest, type Via } from '../../dbus/client/via.ts';
import { describeError, isServiceError, ServiceError } from '../../errors.ts';
import { JoinedSignal } from '../../service/joined-signal.ts';
import {
  type RestartPolicy,
  restartsAfter,
  restartsUnhealthy,
} from '../docker/create-options/restart-policy.ts';
import type { Container, ContainerEngine, PullProgress } from '../docker/engine.ts';
import { EngineRestarts } from '../docker/engine-restarts.ts';
import { findContainer } from '../docker/renamed-container.ts';
import { apply, unprepared, type Work } from './apply.ts';
import { DesiredState, type DesiredStateOptions } from './desired-state.ts';
import { type EngineStatus, refuseUnreachable } from './engine-monitor.ts';
import {
  desiredOf,
  type Goal,
  isAbsence,
  type ModuleStatus,
  needsContainer,
  type Prepared,
  type Refused,
} from './goal.ts';
import { IdleWaiters } from './idle-waiters.ts';
import { ModuleImage } from './module-image.ts';
import { PendingOperation, type PendingOperationOptions } from './pending-operation.ts';
import { isLive, plan, type Step } from './plan.ts';
import { RestartBackoff } from './restart-backoff.ts';
import { StatusTracker } from './status.ts';
import { WakeupEvent } from './wakeup-event.ts';

/** Dependencies of a supervisor. */
export interface SupervisorOptions extends Omit<DesiredStateOptions, 'onGoal'> {
  readonly engine: ContainerEngine;
  readonly engineStatus: () => EngineStatus;
  readonly restartPolicy: RestartPolicy;
  readonly prepare: (via: Via) => Promise<Prepared | Refused>;
  /** Deletes the module's identity at the hub. */
  readonly eraseIdentity: (via: Via) => Promise<void>;
  /** Removes the persisted state; only then the module is absent. Never rejects. */
  readonly remove: () => Promise<void>;
  readonly onStatus: (status: ModuleStatus) => void;
  readonly now: () => Date;
}

/** The next thing after a round: another one, the end, or a wait for a time or, undefined, for an event. */
type Next = 'again' | 'absent' | Date | undefined;

/** Keeps one module in its desired state. */
export class Supervisor {
  readonly desired: DesiredState;
  readonly #options: SupervisorOptions;
  readonly #backoff: RestartBackoff;
  readonly #status: StatusTracker;
  readonly #image: ModuleImage;
  readonly #engineRestarts: EngineRestarts;
  readonly #events = new WakeupEvent();
  #pending: PendingOperation | undefined;
  readonly #idle = new IdleWaiters();
  #round = new AbortController();
  /** Whether the last check refused to run it. */
  #isRefused = false;
  /** Of `erased`: whether its identity has been deleted. */
  #isErased = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    const { saved, now, onStatus } = options;
    const status = new StatusTracker(
      { goal: saved.goal, error: saved.failure ?? '' },
      now,
      onStatus,
    );
    this.#status = status;
    this.#image = new ModuleImage(options.engine);
    this.desired = new DesiredState({ ...options, onGoal: (goal) => status.note({ goal }) });
    this.#backoff = new RestartBackoff(options);
    this.#engineRestarts = new EngineRestarts(options);
  }

  get status(): ModuleStatus {
    return this.#status.current;
  }

  /** Reconciles the module soon: it may have changed. */
  wake(): void {
    this.#events.set();
  }

  /** Retries at once: the cause of the failure may have changed. */
  retry(): void {
    this.#backoff.reset();
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
    const pending = new PendingOperation(options);
    this.#pending = pending;
    this.#isErased = false;
    this.#image.expire();
    this.#status.note({ error: '', failed: false, retryAt: undefined });
    const abort = (): void => this.#fail(pending, signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    this.interrupt();
    try {
      await pending.done;
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

  /** Resolves when the desired state is reached or no step is possible at present. */
  idle(): Promise<void> {
    return this.#idle.wait();
  }

  /** Observes the container before `run`, to publish its state. Never rejects. */
  async observe(signal: AbortSignal): Promise<void> {
    await this.#look(signal).catch(() => undefined); // the status is unknown then
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
      this.#rested();
      const delayMs = next && next.getTime() - this.#options.now().getTime();
      await this.#events.wait(delayMs, signal);
    }
    if (this.#pending !== undefined) {
      const stopping = new ServiceError('Unavailable', 'the service is stopping');
      this.#fail(this.#pending, stopping);
    }
    this.#rested();
    return next === 'absent' ? next : 'stopped';
  }

  #rested(): void {
    if (this.#idle.notify()) this.#status.hold();
    else this.#status.publish();
  }

  /** One observation, one step. */
  async #once(signal: AbortSignal): Promise<Next> {
    try {
      return await this.#advance(signal);
    } catch (error) {
      this.#status.end();
      // an operation took over, or the service stops
      return signal.aborted ? 'again' : this.#failed(error, signal);
    }
  }

  async #advance(signal: AbortSignal): Promise<Next> {
    const { prepare } = this.#options;
    const container = await this.#look(signal);
    const isArmed = await this.#engineRestarts.takeFrom(container, signal);
    if (container?.ours === true) await this.#applyPolicy(container);
    signal.throwIfAborted();
    if (await this.#stopFirst(container, signal)) return 'again';
    const retryAt = this.#backoff.retryAt;
    this.#status.note({ retryAt });
    if (this.#pending?.hasStarted === true) this.#reached();
    // before other services are called: a failure is not retried at every event
    if (retryAt !== undefined) return retryAt;
    // one that was stopped because it may not run is not about to start
    if (!this.#isRefused) this.#status.publish();
    if (await this.#eraseFirst(container, signal)) return 'again';
    const { goal } = this.desired;
    const prepared = needsContainer(goal) ? await prepare(this.#via(signal)) : undefined;
    this.#isRefused = prepared?.refusal !== undefined;
    if (prepared?.refusal !== undefined) return this.#refuse(container, prepared.refusal, signal);
    const isCreation = this.#pending?.options.isCreation === true;
    const image = prepared && (await this.#image.find(prepared.image, isCreation, signal));
    signal.throwIfAborted();
    const imagePresent = prepared === undefined || image !== undefined;
    const [step] = plan({ container, imagePresent }, desiredOf(goal, prepared));
    if (step === undefined) {
      return (await this.#settled(goal)) ?? (isArmed ? this.#backoff.unobserved() : undefined);
    }
    const from = image === undefined ? {} : { Image: image };
    await this.#do(step, prepared && { ...prepared, body: { ...prepared.body, ...from } }, signal);
    return 'again';
  }

  /** Calls for an operation carry the request id of its caller. */
  #via(signal: AbortSignal): Via {
    const requestId = this.#pending?.options.requestId;
    return requestId === undefined ? ownRequest(signal) : { requestId, signal };
  }

  async #look(signal: AbortSignal): Promise<Container | undefined> {
    const { engineStatus } = this.#options;
    try {
      refuseUnreachable(engineStatus());
      const knownId = this.status.container?.id;
      const container = await findContainer(this.#options, knownId, signal);
      // another engine may have answered that the monitor does not know yet
      refuseUnreachable(engineStatus());
      this.#status.end();
      this.#status.note({ container, known: true });
      this.#backoff.observed(container, this.desired.goal, engineStatus().reachedAt);
      return container;
    } catch (error) {
      if (!signal.aborted) this.#status.note({ known: false });
      throw error;
    }
  }

  /** Applies the restart policy to a container that has just ended, or whose health check fails. */
  async #applyPolicy({ state, unhealthy }: Container): Promise<void> {
    const { log, name, restartPolicy } = this.#options;
    // a pending operation takes precedence over the policy
    if (this.#pending !== undefined || this.desired.goal !== 'started') return;
    const { endedItself } = this.#backoff;
    if (endedItself && state.kind === 'exited' && !restartsAfter(restartPolicy, state.exitCode)) {
      this.#backoff.reset();
      await this.desired.advance('started', 'ended');
    }
    if (!unhealthy || !restartsUnhealthy(restartPolicy)) return;
    log.warn('module unhealthy', { module: name });
    this.#backoff.failed();
    await this.desired.advance('started', 'restart');
  }

  /** Stops a module that may not run. */
  async #refuse(
    container: Container | undefined,
    refusal: ServiceError,
    signal: AbortSignal,
  ): Promise<'again'> {
    if (container?.ours !== true || !isLive(container)) throw refusal;
    await this.#do({ kind: 'stop', id: container.id }, undefined, signal);
    return 'again';
  }

  /** Stopping needs only the container: it works while no identity is available. */
  async #stopFirst(container: Container | undefined, signal: AbortSignal): Promise<boolean> {
    const { goal } = this.desired;
    if (goal !== 'restart' && goal !== 'stopped') return false;
    if (container?.ours === true && isLive(container)) {
      await this.#do({ kind: 'stop', id: container.id }, undefined, signal);
      return true;
    }
    if (goal === 'restart') await this.desired.advance('restart', 'start');
    else if (this.#pending?.options.until === 'stopped') this.#reached();
    return false;
  }

  /** Deletes the identity after the module has stopped, and before its record, which demands the deletion. */
  async #eraseFirst(container: Container | undefined, signal: AbortSignal): Promise<boolean> {
    if (this.desired.goal !== 'erased' || this.#isErased) return false;
    if (container?.ours === true && isLive(container)) {
      await this.#do({ kind: 'stop', id: container.id }, undefined, signal);
      return true;
    }
    await this.#options.eraseIdentity(this.#via(signal));
    this.#isErased = true;
    return false;
  }

  async #do(step: Step, prepared: Prepared | undefined, signal: AbortSignal): Promise<void> {
    const { log, name } = this.#options;
    const { goal } = this.desired;
    const again = step.kind === 'start' && goal === 'started' && this.#backoff.hasEnded;
    this.#status.begin(step.kind);
    await apply(step, this.#work(prepared), signal);
    log.info('module step done', { module: name, step: step.kind });
    if (step.kind === 'stop') this.#backoff.stopped();
    if (step.kind === 'start') this.#backoff.started();
    if (!this.status.failed) this.#status.note({ error: '' });
    if (again) this.#status.note({ restartCount: this.status.restartCount + 1 });
    if (step.kind !== 'start' || goal !== 'start') return;
    await this.desired.advance('start', 'started');
    if (this.#pending !== undefined) this.#pending.hasStarted = true;
  }

  #work(prepared: Prepared | undefined): Work {
    const { engine, name } = this.#options;
    const fetchImage = (signal: AbortSignal) => this.#fetch(prepared, signal);
    const { stopTimeoutS } = this.#pending?.options ?? {};
    return { engine, name, ...unprepared, ...prepared, stopTimeoutS, fetchImage };
  }

  async #fetch(prepared: Prepared | undefined, signal: AbortSignal): Promise<void> {
    if (prepared === undefined) throw new TypeError('there is no image to fetch');
    const onProgress = (progress: PullProgress) => this.#status.progress(progress);
    await this.#image.fetch(prepared.image, onProgress, signal);
    this.#status.note({ note: this.#image.note });
  }

  async #settled(goal: Goal): Promise<'again' | 'absent' | undefined> {
    if (isAbsence(goal)) return this.#vanish(goal);
    if (goal !== 'failed' && !this.status.failed) this.#status.note({ error: '' });
    if (goal === 'start') await this.desired.advance('start', 'started');
    this.#reached();
    return undefined;
  }

  /** Ends the module, unless an operation has just changed the desired state. */
  async #vanish(goal: Goal): Promise<'again' | 'absent'> {
    if (!(await this.desired.close(goal))) return 'again';
    await this.#options.remove();
    this.#pending?.reach();
    this.#pending = undefined;
    return 'absent';
  }

  /** Completes the pending operation; the status is published together with its end. */
  #reached(): void {
    const pending = this.#pending;
    if (pending === undefined) return;
    this.#pending = undefined;
    this.#status.hold();
    pending.reach();
  }

  #fail(pending: PendingOperation, error: unknown): void {
    if (this.#pending !== pending) return;
    this.#pending = undefined;
    const failed = pending.options.isUndone() && !isServiceError(error, 'Cancelled');
    this.#status.note({ failed });
    pending.fail(error);
  }

  async #failed(error: unknown, signal: AbortSignal): Promise<'again' | Date | undefined> {
    const { log, name } = this.#options;
    log.warn('module step failed', { module: name, error: describeError(error) });
    this.#status.note({ error: isServiceError(error) ? error.message : 'internal error' });
    const pending = this.#pending;
    if (pending?.options.isPatient() === false) {
      this.#fail(pending, error);
      // it is undone next
      if (pending.options.isUndone()) return undefined;
    }
    const next = await this.#afterFailure(signal);
    // the engine was unreachable, or is
    if (next.cause === 'engine') return next.at;
    this.#status.note({ retryAt: next.at });
    if (pending === undefined) return next.at;
    this.#status.hold();
    this.#fail(pending, error);
    return pending.options.isUndone() ? undefined : next.at;
  }

  /** Finds the cause of a failure: the loss of the engine is not a failure of the module. */
  async #afterFailure(
    signal: AbortSignal,
  ): Promise<
    | { readonly cause: 'engine'; readonly at: 'again' | Date | undefined }
    | { readonly cause: 'module'; readonly at: Date | undefined }
  > {
    const { engineStatus } = this.#options;
    const { reachedAt } = engineStatus();
    // the monitor may not know yet
    if (this.status.known) await this.#look(signal).catch(() => undefined);
    if (signal.aborted) return { cause: 'engine', at: 'again' };
    const now = engineStatus();
    // the monitor wakes all supervisors when the engine is back
    if (now.error !== '') return { cause: 'engine', at: undefined };
    if (!this.status.known) return { cause: 'engine', at: this.#backoff.unobserved() };
    const isNewEngine = reachedAt !== undefined && now.reachedAt !== reachedAt;
    if (isNewEngine) return { cause: 'engine', at: 'again' };
    return { cause: 'module', at: this.#backoff.failed() };
  }
}
