/** Reconciles one module in a loop of its own: observes, plans, does one step, observes again. */
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

/** What a supervisor works with. */
export interface SupervisorOptions extends Omit<DesiredStateOptions, 'onGoal'> {
  readonly engine: ContainerEngine;
  readonly engineStatus: () => EngineStatus;
  readonly restartPolicy: RestartPolicy;
  readonly prepare: (via: Via) => Promise<Prepared | Refused>;
  /** Gives up the module's identity at the hub. */
  readonly eraseIdentity: (via: Via) => Promise<void>;
  /** Drops what outlives the process; only then the module's absence is complete. Never rejects. */
  readonly remove: () => Promise<void>;
  readonly onStatus: (status: ModuleStatus) => void;
  readonly now: () => Date;
}

/** What comes after a round: another one, the end, or a wait for a time or, undefined, for an event. */
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
  /** Whether it may not run, as far as is known. */
  #isRefused = false;
  /** Whether its identity is gone, of the goal `erased`. */
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

  /** Looks at the module soon: something may have happened to it. */
  wake(): void {
    this.#events.set();
  }

  /** Tries at once what was put off: what it failed for may have changed. */
  retry(): void {
    this.#backoff.reset();
    this.wake();
  }

  /** Gives up what is being done, for a goal that has changed. */
  interrupt(): void {
    this.#round.abort();
    this.retry();
  }

  /** Pursues the goal, which has just changed; rejects when it is not reached, or with the reason of the signal. */
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

  /** Gives up what is being done for the goal that there was; resolves as `idle`, and holds what is to be published then. */
  async undo(): Promise<void> {
    const outcome = this.#idle.waitForOutcome();
    this.interrupt();
    await outcome;
  }

  /** Resolves when the goal is reached or nothing more can be done for it at present. */
  idle(): Promise<void> {
    return this.#idle.wait();
  }

  /** Looks at the container and does nothing: before `run`, for what is shown of it. Never rejects. */
  async observe(signal: AbortSignal): Promise<void> {
    await this.#look(signal).catch(() => undefined); // the status says that it is not known
    this.#status.publish();
  }

  /** Works until the signal says stop or the module is absent as wanted. Never rejects. */
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

  /** One look, one step. */
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
    // before anything is asked of others: what failed is not retried at every event
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

  /** What is done for an operation serves the request of its call. */
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
      // it may have gone meanwhile, and another one answered of which the monitor does not know yet
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

  /** What the restart policy makes of a container that has just ended, or whose health check fails. */
  async #applyPolicy({ state, unhealthy }: Container): Promise<void> {
    const { log, name, restartPolicy } = this.#options;
    // what an operation asks for comes before what the policy says
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

  /** What may not run is stopped where it does. */
  async #refuse(
    container: Container | undefined,
    refusal: ServiceError,
    signal: AbortSignal,
  ): Promise<'again'> {
    if (container?.ours !== true || !isLive(container)) throw refusal;
    await this.#do({ kind: 'stop', id: container.id }, undefined, signal);
    return 'again';
  }

  /** Stopping needs nothing but the container, if there is one: it works when no identity can be had. */
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

  /** The identity goes after the module has stopped and before its record, which says that it has to. */
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

  /** The end of the module, unless an operation has just asked for something else. */
  async #vanish(goal: Goal): Promise<'again' | 'absent'> {
    if (!(await this.desired.close(goal))) return 'again';
    await this.#options.remove();
    this.#pending?.reach();
    this.#pending = undefined;
    return 'absent';
  }

  /** What is pursued, if anything is, is reached: that is published together with the end of its operation. */
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
      // what comes next is the undoing
      if (pending.options.isUndone()) return undefined;
    }
    const next = await this.#afterFailure(signal);
    // the engine was away, or is
    if (next.cause === 'engine') return next.at;
    this.#status.note({ retryAt: next.at });
    if (pending === undefined) return next.at;
    this.#status.hold();
    this.#fail(pending, error);
    return pending.options.isUndone() ? undefined : next.at;
  }

  /** Finds out whose failure it was: what failed because the engine went away, is none of the module. */
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
