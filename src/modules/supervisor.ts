/**
 * Brings one module to where it shall be and keeps it there: looks, plans, does one step, looks again.
 * There is one loop per module, so a slow pull holds nobody else up.
 *
 *   goal       means                                       becomes
 *   stopped    there is a container, it does not run
 *   restart    it stops first                              start, when it has stopped
 *   start      it starts even if it has ended              started, when it has started
 *   started    it runs, again after it ended             ended, when its restart policy says so
 *   ended      it has ended by itself and stays so
 *   absent     there is no container                       the loop ends
 */
import { ownRequest, type Via } from '../dbus/via.ts';
import { describeError, isServiceError, ServiceError } from '../errors.ts';
import { apply, type Work } from './apply.ts';
import type { Container, ContainerEngine, PullProgress } from './engine.ts';
import type { EngineStatus } from './engine-monitor.ts';
import { desiredOf, type Prepared, type Refused, type Report } from './goal.ts';
import { Intent, type IntentOptions } from './intent.ts';
import { LiveReport } from './live-report.ts';
import { ModuleImage } from './module-image.ts';
import type { Request } from './operation.ts';
import { isLive, plan, type Step } from './plan.ts';
import { Recovery } from './recovery.ts';
import { type RestartPolicy, restartsAfter, restartsUnhealthy } from './restart-policy.ts';
import { WakeUp } from './wake-up.ts';

/** What a supervisor works with. */
export interface SupervisorOptions extends Omit<IntentOptions, 'onGoal'> {
  readonly engine: ContainerEngine;
  readonly engineStatus: () => EngineStatus;
  readonly restartPolicy: RestartPolicy;
  readonly prepare: (via: Via) => Promise<Prepared | Refused>;
  /** Drops what outlives the process; only then the module's absence is complete. Never rejects. */
  readonly forget: () => Promise<void>;
  readonly onReport: (report: Report) => void;
  readonly now: () => Date;
}

/** Keeps one module as it shall be. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #intent: Intent;
  readonly #recovery: Recovery;
  readonly #report: LiveReport;
  readonly #image: ModuleImage;
  readonly #news = new WakeUp();
  #round = new AbortController();
  /** The container whose restart policy was taken away, and the one of which that failed. */
  #disarmed = '';
  #armed = '';

  constructor(options: SupervisorOptions) {
    this.#options = options;
    const { goal, now, onReport } = options;
    const report = new LiveReport(goal, now, onReport);
    this.#report = report;
    this.#image = new ModuleImage(options.engine);
    this.#intent = new Intent({ ...options, onGoal: (changed) => report.tell({ goal: changed }) });
    this.#recovery = new Recovery(options);
  }

  get report(): Report {
    return this.#report.current;
  }

  /** The change that is under way, undefined when there is none. */
  get verb(): string | undefined {
    return this.#intent.request?.verb;
  }

  /** Looks at the module soon: something may have happened to it. */
  wake(): void {
    this.#news.call();
  }

  /** Tries at once what was put off: what it failed for may have changed. */
  retry(): void {
    this.#recovery.reset();
    this.wake();
  }

  /**
   * Asks for a change; resolves when it is accepted and written down, to a promise of its end.
   * Unavailable while another change is under way, NotFound when the module is gone.
   */
  async request(request: Request): Promise<{ readonly done: Promise<void> }> {
    const { done, joined } = await this.#intent.accept(request);
    if (joined) return { done };
    this.#recovery.reset();
    this.#image.expire();
    this.#report.tell({ error: '', retryAt: undefined });
    this.#interrupt();
    return { done };
  }

  /** Ends the change that is under way with Cancelled; NotFound when there is none. */
  cancel(): void {
    this.#intent.cancel();
    this.#interrupt();
  }

  /** Looks at the container and does nothing: before `run`, for what is shown of it. Never rejects. */
  async observe(signal: AbortSignal): Promise<void> {
    await this.#look(signal).catch(() => undefined); // the report says that it is not known
  }

  /** Works until the signal says stop or the module is absent as wanted. Never rejects. */
  async run(signal: AbortSignal): Promise<'stopped' | 'absent'> {
    while (!signal.aborted) {
      this.#news.clear();
      this.#round = new AbortController();
      const next = await this.#once(AbortSignal.any([signal, this.#round.signal]));
      if (next === 'absent') return next;
      if (next === 'again') continue;
      const delayMs = next && next.getTime() - this.#options.now().getTime();
      await this.#news.wait(delayMs, signal);
    }
    this.#intent.stop();
    return 'stopped';
  }

  /** What was being done on its own account gives way. */
  #interrupt(): void {
    this.#round.abort();
    this.wake();
  }

  /** One look, one step. Answers what to do then: wait for a time or, undefined, for news. */
  async #once(signal: AbortSignal): Promise<'again' | 'absent' | Date | undefined> {
    try {
      const cancelled = this.#intent.cancelled;
      if (cancelled !== undefined) throw cancelled;
      return await this.#advance(signal);
    } catch (error) {
      const cancelled = this.#intent.cancelled;
      if (cancelled !== undefined) {
        await this.#intent.fail(cancelled);
        return 'again';
      }
      // A request took over, or the service stops.
      if (signal.aborted) return 'again';
      return this.#failed(error, signal);
    }
  }

  async #advance(signal: AbortSignal): Promise<'again' | 'absent' | Date | undefined> {
    const { prepare } = this.#options;
    const container = await this.#look(signal);
    const isArmed = await this.#disarm(container, signal);
    if (container?.ours === true) await this.#applyPolicy(container);
    if (await this.#stopFirst(container, signal)) return 'again';
    // Before anything is asked of anybody: what failed is not tried again at every piece of news.
    const retryAt = this.#recovery.until;
    this.#report.tell({ retryAt });
    if (retryAt !== undefined) return retryAt;
    const prepared = this.#intent.goal === 'absent' ? undefined : await prepare(this.#via(signal));
    if (prepared?.refusal !== undefined) return this.#refuse(container, prepared.refusal, signal);
    const isCreation = this.#intent.request?.verb === 'CreateModule';
    const imagePresent =
      prepared === undefined || (await this.#image.isPresent(prepared.image, isCreation, signal));
    signal.throwIfAborted();
    const [step] = plan({ container, imagePresent }, desiredOf(this.#intent.goal, prepared));
    if (step === undefined) {
      return (await this.#settled()) ?? (isArmed ? this.#recovery.unseen() : undefined);
    }
    await this.#do(step, prepared, signal);
    return 'again';
  }

  /** What is done for a change that was asked for serves that request. */
  #via(signal: AbortSignal): Via {
    const requestId = this.#intent.request?.requestId;
    return requestId === undefined ? ownRequest(signal) : { requestId, signal };
  }

  async #look(signal: AbortSignal): Promise<Container | undefined> {
    const { engine, name, engineStatus } = this.#options;
    try {
      refuseUnreachable(engineStatus());
      const container = await engine.inspect(name, signal);
      // It may have gone meanwhile, and another one answered of whose coming nobody knows yet.
      refuseUnreachable(engineStatus());
      this.#report.tell({ container, known: true });
      this.#recovery.seen(container, this.#intent.goal, engineStatus().reachedAt);
      return container;
    } catch (error) {
      if (!signal.aborted) this.#report.tell({ known: false });
      throw error;
    }
  }

  /** What the restart policy makes of a container that has just ended, or whose health check fails. */
  async #applyPolicy({ state, unhealthy }: Container): Promise<void> {
    const { log, name, restartPolicy } = this.#options;
    // what somebody asks for comes before what the policy says
    if (this.#intent.request !== undefined || this.#intent.goal !== 'started') return;
    const { endedItself } = this.#recovery;
    if (endedItself && state.kind === 'exited' && !restartsAfter(restartPolicy, state.exitCode)) {
      this.#recovery.reset();
      await this.#intent.set('ended');
    }
    if (!unhealthy || !restartsUnhealthy(restartPolicy)) return;
    log.warn('module unhealthy', { module: name });
    this.#recovery.failed();
    await this.#intent.set('restart');
  }

  /**
   * An engine that starts containers by itself does so when nobody has looked at what they mount. Answers whether
   * it still would: then the next look tries again.
   */
  async #disarm(container: Container | undefined, signal: AbortSignal): Promise<boolean> {
    const { engine, log, name } = this.#options;
    if (container?.ours !== true) return false;
    const { engineRestarts, id } = container;
    if (!engineRestarts) this.#disarmed = ''; // it may be given one again
    if (!engineRestarts || this.#disarmed === id) return false;
    try {
      await engine.keepStopped(id, signal);
      this.#disarmed = id;
      return false;
    } catch (error) {
      signal.throwIfAborted();
      if (this.#armed !== id) {
        log.warn('restart policy not taken away', { module: name, error: describeError(error) });
      }
      this.#armed = id;
      return true;
    }
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
    if (this.#intent.goal !== 'restart' && this.#intent.goal !== 'stopped') return false;
    if (container?.ours === true && isLive(container)) {
      await this.#do({ kind: 'stop', id: container.id }, undefined, signal);
      return true;
    }
    if (this.#intent.goal === 'restart') await this.#intent.set('start');
    else if (this.#intent.request?.until === 'stopped') this.#intent.succeed();
    return false;
  }

  async #do(step: Step, prepared: Prepared | undefined, signal: AbortSignal): Promise<void> {
    const { log, name } = this.#options;
    const again =
      step.kind === 'start' && this.#intent.goal === 'started' && this.#recovery.hasEnded;
    await this.#report.during(step.kind, () => apply(step, this.#work(prepared), signal));
    log.info('module step done', { module: name, step: step.kind });
    if (step.kind === 'stop') this.#recovery.stopped();
    if (step.kind === 'start') this.#recovery.started();
    this.#report.tell({
      error: '',
      restartCount: this.#report.current.restartCount + (again ? 1 : 0),
    });
    if (step.kind === 'start' && this.#intent.goal === 'start') {
      await this.#intent.set('started');
      this.#intent.succeed();
    }
  }

  #work(prepared: Prepared | undefined): Work {
    const { engine, name } = this.#options;
    return {
      engine,
      name,
      body: {},
      network: { name: '' },
      check: () => Promise.resolve(),
      ...prepared,
      stopTimeoutS: this.#intent.request?.stopTimeoutS,
      fetchImage: (signal) => this.#fetch(prepared, signal),
    };
  }

  async #fetch(prepared: Prepared | undefined, signal: AbortSignal): Promise<void> {
    if (prepared === undefined) throw new TypeError('there is no image to fetch');
    const onProgress = (progress: PullProgress) => this.#report.progress(progress);
    await this.#image.fetch(prepared.image, onProgress, signal);
    this.#report.tell({ note: this.#image.note });
  }

  async #settled(): Promise<'again' | 'absent' | undefined> {
    if (this.#intent.goal === 'absent') return this.#vanish();
    if (!this.#intent.failed) this.#report.tell({ error: '', retryAt: undefined });
    if (this.#intent.goal === 'start') await this.#intent.set('started');
    this.#intent.succeed();
    return undefined;
  }

  /** The end of the module, unless somebody is just asking for something else. */
  async #vanish(): Promise<'again' | 'absent'> {
    if (!this.#intent.close()) return 'again';
    await this.#options.forget();
    this.#intent.succeed();
    return 'absent';
  }

  async #failed(error: unknown, signal: AbortSignal): Promise<'again' | Date | undefined> {
    const { log, name } = this.#options;
    log.warn('module step failed', { module: name, error: describeError(error) });
    const { reverts } = this.#intent;
    await this.#intent.fail(error);
    this.#report.tell({ error: isServiceError(error) ? error.message : 'internal error' });
    if (reverts) return 'again';
    const next = await this.#afterFailure(signal);
    this.#report.tell({ retryAt: this.#recovery.until });
    return next;
  }

  /** Finds out whose failure it was: what failed because the engine went away, is none of the module. */
  async #afterFailure(signal: AbortSignal): Promise<'again' | Date | undefined> {
    const { engineStatus } = this.#options;
    const { reachedAt } = engineStatus();
    // The monitor may not know yet.
    if (this.report.known) await this.#look(signal).catch(() => undefined);
    if (signal.aborted) return 'again';
    const now = engineStatus();
    // The monitor wakes everybody when the engine is back.
    if (now.error !== '') return undefined;
    if (!this.report.known) return this.#recovery.unseen();
    return now.reachedAt === reachedAt ? this.#recovery.failed() : 'again';
  }
}

function refuseUnreachable({ error }: EngineStatus): void {
  if (error !== '') throw new ServiceError('Unavailable', error);
}
