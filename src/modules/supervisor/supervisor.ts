/**
 * Reconciles one module in a loop of its own: observes, plans, does one step, observes again.
 *   goal       means                                       becomes
 *   stopped    there is a container, it does not run
 *   restart    it stops first                              start, when it has stopped
 *   start      it starts even if it has ended              started, when it has started
 *   started    it runs, again after it ended               ended, when its restart policy says so
 *   ended      it has ended by itself and stays so
 *   failed     it could not be made: no container
 *   absent     there is no container                       the loop ends
 *   erased     nor an identity at the hub                  the loop ends
 */
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
  needsContainer,
  type Prepared,
  type Refused,
  type Report,
} from './goal.ts';
import { ModuleImage } from './module-image.ts';
import { isLive, plan, type Step } from './plan.ts';
import { Pursuit, type PursuitOptions } from './pursuit.ts';
import { Recovery } from './restart-backoff.ts';
import { Resting } from './resting.ts';
import { LiveReport } from './status.ts';
import { WakeUp } from './wakeup-event.ts';

/** What a supervisor works with. */
export interface SupervisorOptions extends Omit<DesiredStateOptions, 'onGoal'> {
  readonly engine: ContainerEngine;
  readonly engineStatus: () => EngineStatus;
  readonly restartPolicy: RestartPolicy;
  readonly prepare: (via: Via) => Promise<Prepared | Refused>;
  /** Gives up the module's identity at the hub. */
  readonly eraseIdentity: (via: Via) => Promise<void>;
  /** Drops what outlives the process; only then the module's absence is complete. Never rejects. */
  readonly forget: () => Promise<void>;
  readonly onReport: (report: Report) => void;
  readonly now: () => Date;
}

/** What comes after a round: another one, the end, or a wait for a time or, undefined, for an event. */
type Next = 'again' | 'absent' | Date | undefined;

/** Keeps one module in its desired state. */
export class Supervisor {
  readonly desired: DesiredState;
  readonly #options: SupervisorOptions;
  readonly #recovery: Recovery;
  readonly #report: LiveReport;
  readonly #image: ModuleImage;
  readonly #engineRestarts: EngineRestarts;
  readonly #events = new WakeUp();
  #pursuit: Pursuit | undefined;
  readonly #resting = new Resting();
  #round = new AbortController();
  /** Whether it may not run, as far as is known. */
  #isRefused = false;
  /** Whether its identity is gone, of the goal `erased`. */
  #isErased = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    const { saved, now, onReport } = options;
    const report = new LiveReport({ goal: saved.goal, error: saved.failure ?? '' }, now, onReport);
    this.#report = report;
    this.#image = new ModuleImage(options.engine);
    this.desired = new DesiredState({ ...options, onGoal: (goal) => report.note({ goal }) });
    this.#recovery = new Recovery(options);
    this.#engineRestarts = new EngineRestarts(options);
  }

  get report(): Report {
    return this.#report.current;
  }

  /** Looks at the module soon: something may have happened to it. */
  wake(): void {
    this.#events.call();
  }

  /** Tries at once what was put off: what it failed for may have changed. */
  retry(): void {
    this.#recovery.reset();
    this.wake();
  }

  /** Gives up what is being done, for a goal that has changed. */
  interrupt(): void {
    this.#round.abort();
    this.retry();
  }

  /** Pursues the goal, which has just changed; rejects when it is not reached, or with the reason of the signal. */
  async reach(options: PursuitOptions, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const pursuit = new Pursuit(options);
    this.#pursuit = pursuit;
    this.#isErased = false;
    this.#image.expire();
    this.#report.note({ error: '', failed: false, retryAt: undefined });
    const abort = (): void => this.#fail(pursuit, signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    this.interrupt();
    try {
      await pursuit.done;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  /** Publishes the outcome of an operation that has ended. */
  release(): void {
    this.#report.release();
  }

  /** Gives up what is being done for the goal that there was; resolves as `rest`, and holds what is to be published then. */
  async undo(): Promise<void> {
    const outcome = this.#resting.waitForOutcome();
    this.interrupt();
    await outcome;
  }

  /** Resolves when the goal is reached or nothing more can be done for it at present. */
  rest(): Promise<void> {
    return this.#resting.wait();
  }

  /** Looks at the container and does nothing: before `run`, for what is shown of it. Never rejects. */
  async observe(signal: AbortSignal): Promise<void> {
    await this.#look(signal).catch(() => undefined); // the report says that it is not known
    this.#report.publish();
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
      this.#rest();
      const delayMs = next && next.getTime() - this.#options.now().getTime();
      await this.#events.wait(delayMs, signal);
    }
    if (this.#pursuit !== undefined) {
      const stopping = new ServiceError('Unavailable', 'the service is stopping');
      this.#fail(this.#pursuit, stopping);
    }
    this.#rest();
    return next === 'absent' ? next : 'stopped';
  }

  #rest(): void {
    if (this.#resting.reached()) this.#report.hold();
    else this.#report.publish();
  }

  /** One look, one step. */
  async #once(signal: AbortSignal): Promise<Next> {
    try {
      return await this.#advance(signal);
    } catch (error) {
      this.#report.end();
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
    const retryAt = this.#recovery.until;
    this.#report.note({ retryAt });
    if (this.#pursuit?.hasStarted === true) this.#reached();
    // before anything is asked of others: what failed is not retried at every event
    if (retryAt !== undefined) return retryAt;
    // one that was stopped because it may not run is not about to start
    if (!this.#isRefused) this.#report.publish();
    if (await this.#eraseFirst(container, signal)) return 'again';
    const { goal } = this.desired;
    const prepared = needsContainer(goal) ? await prepare(this.#via(signal)) : undefined;
    this.#isRefused = prepared?.refusal !== undefined;
    if (prepared?.refusal !== undefined) return this.#refuse(container, prepared.refusal, signal);
    const isCreation = this.#pursuit?.options.isCreation === true;
    const image = prepared && (await this.#image.find(prepared.image, isCreation, signal));
    signal.throwIfAborted();
    const imagePresent = prepared === undefined || image !== undefined;
    const [step] = plan({ container, imagePresent }, desiredOf(goal, prepared));
    if (step === undefined) {
      return (await this.#settled(goal)) ?? (isArmed ? this.#recovery.unseen() : undefined);
    }
    const from = image === undefined ? {} : { Image: image };
    await this.#do(step, prepared && { ...prepared, body: { ...prepared.body, ...from } }, signal);
    return 'again';
  }

  /** What is done for an operation serves the request of its call. */
  #via(signal: AbortSignal): Via {
    const requestId = this.#pursuit?.options.requestId;
    return requestId === undefined ? ownRequest(signal) : { requestId, signal };
  }

  async #look(signal: AbortSignal): Promise<Container | undefined> {
    const { engineStatus } = this.#options;
    try {
      refuseUnreachable(engineStatus());
      const knownId = this.report.container?.id;
      const container = await findContainer(this.#options, knownId, signal);
      // it may have gone meanwhile, and another one answered of which the monitor does not know yet
      refuseUnreachable(engineStatus());
      this.#report.end();
      this.#report.note({ container, known: true });
      this.#recovery.seen(container, this.desired.goal, engineStatus().reachedAt);
      return container;
    } catch (error) {
      if (!signal.aborted) this.#report.note({ known: false });
      throw error;
    }
  }

  /** What the restart policy makes of a container that has just ended, or whose health check fails. */
  async #applyPolicy({ state, unhealthy }: Container): Promise<void> {
    const { log, name, restartPolicy } = this.#options;
    // what an operation asks for comes before what the policy says
    if (this.#pursuit !== undefined || this.desired.goal !== 'started') return;
    const { endedItself } = this.#recovery;
    if (endedItself && state.kind === 'exited' && !restartsAfter(restartPolicy, state.exitCode)) {
      this.#recovery.reset();
      await this.desired.advance('started', 'ended');
    }
    if (!unhealthy || !restartsUnhealthy(restartPolicy)) return;
    log.warn('module unhealthy', { module: name });
    this.#recovery.failed();
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
    else if (this.#pursuit?.options.until === 'stopped') this.#reached();
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
    const again = step.kind === 'start' && goal === 'started' && this.#recovery.hasEnded;
    this.#report.begin(step.kind);
    await apply(step, this.#work(prepared), signal);
    log.info('module step done', { module: name, step: step.kind });
    if (step.kind === 'stop') this.#recovery.stopped();
    if (step.kind === 'start') this.#recovery.started();
    if (!this.report.failed) this.#report.note({ error: '' });
    if (again) this.#report.note({ restartCount: this.report.restartCount + 1 });
    if (step.kind !== 'start' || goal !== 'start') return;
    await this.desired.advance('start', 'started');
    if (this.#pursuit !== undefined) this.#pursuit.hasStarted = true;
  }

  #work(prepared: Prepared | undefined): Work {
    const { engine, name } = this.#options;
    const fetchImage = (signal: AbortSignal) => this.#fetch(prepared, signal);
    const { stopTimeoutS } = this.#pursuit?.options ?? {};
    return { engine, name, ...unprepared, ...prepared, stopTimeoutS, fetchImage };
  }

  async #fetch(prepared: Prepared | undefined, signal: AbortSignal): Promise<void> {
    if (prepared === undefined) throw new TypeError('there is no image to fetch');
    const onProgress = (progress: PullProgress) => this.#report.progress(progress);
    await this.#image.fetch(prepared.image, onProgress, signal);
    this.#report.note({ note: this.#image.note });
  }

  async #settled(goal: Goal): Promise<'again' | 'absent' | undefined> {
    if (isAbsence(goal)) return this.#vanish(goal);
    if (goal !== 'failed' && !this.report.failed) this.#report.note({ error: '' });
    if (goal === 'start') await this.desired.advance('start', 'started');
    this.#reached();
    return undefined;
  }

  /** The end of the module, unless an operation has just asked for something else. */
  async #vanish(goal: Goal): Promise<'again' | 'absent'> {
    if (!(await this.desired.close(goal))) return 'again';
    await this.#options.forget();
    this.#pursuit?.reach();
    this.#pursuit = undefined;
    return 'absent';
  }

  /** What is pursued, if anything is, is reached: that is published together with the end of its operation. */
  #reached(): void {
    const pursuit = this.#pursuit;
    if (pursuit === undefined) return;
    this.#pursuit = undefined;
    this.#report.hold();
    pursuit.reach();
  }

  #fail(pursuit: Pursuit, error: unknown): void {
    if (this.#pursuit !== pursuit) return;
    this.#pursuit = undefined;
    const failed = pursuit.options.isUndone() && !isServiceError(error, 'Cancelled');
    this.#report.note({ failed });
    pursuit.fail(error);
  }

  async #failed(error: unknown, signal: AbortSignal): Promise<'again' | Date | undefined> {
    const { log, name } = this.#options;
    log.warn('module step failed', { module: name, error: describeError(error) });
    this.#report.note({ error: isServiceError(error) ? error.message : 'internal error' });
    const pursuit = this.#pursuit;
    if (pursuit?.options.isPatient() === false) {
      this.#fail(pursuit, error);
      // what comes next is the undoing
      if (pursuit.options.isUndone()) return undefined;
    }
    const next = await this.#afterFailure(signal);
    // the engine was away, or is
    if (next.cause === 'engine') return next.at;
    this.#report.note({ retryAt: next.at });
    if (pursuit === undefined) return next.at;
    this.#report.hold();
    this.#fail(pursuit, error);
    return pursuit.options.isUndone() ? undefined : next.at;
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
    if (this.report.known) await this.#look(signal).catch(() => undefined);
    if (signal.aborted) return { cause: 'engine', at: 'again' };
    const now = engineStatus();
    // the monitor wakes all supervisors when the engine is back
    if (now.error !== '') return { cause: 'engine', at: undefined };
    if (!this.report.known) return { cause: 'engine', at: this.#recovery.unseen() };
    const isNewEngine = reachedAt !== undefined && now.reachedAt !== reachedAt;
    if (isNewEngine) return { cause: 'engine', at: 'again' };
    return { cause: 'module', at: this.#recovery.failed() };
  }
}
