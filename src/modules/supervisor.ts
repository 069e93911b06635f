/**
 * Brings one module to where it shall be and keeps it there: looks, plans, does one step, looks again.
 * There is one loop per module, so a slow pull holds nobody else up.
 *
 *   goal       means                                       becomes
 *   stopped    there is a container, it does not run
 *   restart    it stops first                              start, when it has stopped
 *   start      it starts even if it has ended              started, when it has started
 *   started    it runs, again after it ended
 *   absent     there is no container                       the loop ends
 */
import { describeError, isServiceError, ServiceError } from '../errors.ts';
import type { Log } from '../service/log.ts';
import { apply, type Work } from './apply.ts';
import { Backoff } from './backoff.ts';
import type { Container, ContainerEngine, PullProgress } from './engine.ts';
import { desiredOf, type Goal, type Prepared, type Report } from './goal.ts';
import { Operation, type Request } from './operation.ts';
import { isLive, plan, type Step } from './plan.ts';

const progressMs = 500;

/** What a supervisor works with. */
export interface SupervisorOptions {
  readonly name: string;
  readonly goal: Goal;
  readonly engine: ContainerEngine;
  readonly engineReachable: () => boolean;
  readonly prepare: (signal: AbortSignal) => Promise<Prepared>;
  /** Writes the goal down; what is done next relies on it. */
  readonly saveGoal: (goal: Goal) => Promise<void>;
  /** Drops what outlives the process; only then the module's absence is complete. Never rejects. */
  readonly forget: () => Promise<void>;
  readonly onReport: (report: Report) => void;
  readonly now: () => Date;
  readonly log: Log;
}

/** Keeps one module as it shall be. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #backoff = new Backoff();
  #goal: Goal;
  #operation: Operation | undefined;
  #round = new AbortController();
  #poke: () => void = () => {};
  #poked = false;
  #report: Report;
  #lastEnd: number | undefined;
  #failedOperation = false;
  #isGone = false;
  #progressAt = 0;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#goal = options.goal;
    this.#report = {
      goal: options.goal,
      container: undefined,
      known: false,
      step: undefined,
      progress: 0,
      progressText: '',
      restartCount: 0,
      retryAt: undefined,
      error: '',
    };
  }

  get report(): Report {
    return this.#report;
  }

  /** The change that is under way, undefined when there is none. */
  get verb(): string | undefined {
    return this.#operation?.request.verb;
  }

  /** Looks at the module soon: something may have happened to it. */
  wake(): void {
    this.#poked = true;
    this.#poke();
  }

  /** Tries at once what was put off: what it failed for may have changed. */
  retry(): void {
    this.#backoff.reset();
    this.wake();
  }

  /**
   * Asks for a change; resolves when it is accepted and written down, to a promise of its end.
   * Unavailable while another change is under way, NotFound when the module is gone.
   */
  async request(request: Request): Promise<{ readonly done: Promise<void> }> {
    const name = JSON.stringify(this.#options.name);
    if (this.#isGone) throw new ServiceError('NotFound', `no module ${name}`);
    const current = this.#operation;
    if (current !== undefined) {
      if (current.request.verb === request.verb) return { done: current.done };
      const text = `${current.request.verb} of module ${name} is under way`;
      throw new ServiceError('Unavailable', text);
    }
    const operation = new Operation(request, this.#goal);
    this.#operation = operation;
    try {
      await this.#setGoal(request.goal);
    } catch (error) {
      this.#operation = undefined;
      operation.fail(error);
      throw error;
    }
    operation.accepted = true;
    this.#backoff.reset();
    this.#failedOperation = false;
    this.#tell({ error: '', retryAt: undefined });
    // What was being done on its own account gives way.
    this.#round.abort();
    this.wake();
    return { done: operation.done };
  }

  /** Ends the change that is under way with Cancelled; NotFound when there is none. */
  cancel(): void {
    const { name } = this.#options;
    if (this.#operation === undefined) {
      const text = `nothing is under way for module ${JSON.stringify(name)}`;
      throw new ServiceError('NotFound', text);
    }
    this.#operation.cancel(name);
    this.#round.abort();
    this.wake();
  }

  /** Works until the signal says stop or the module is absent as wanted. Never rejects. */
  async run(signal: AbortSignal): Promise<'stopped' | 'absent'> {
    while (!signal.aborted) {
      this.#poked = false;
      this.#round = new AbortController();
      const next = await this.#once(AbortSignal.any([signal, this.#round.signal]));
      if (next === 'absent') return next;
      if (next !== 'again') await this.#sleep(next, signal);
    }
    this.#operation?.fail(new ServiceError('Cancelled', 'the service is stopping'));
    return 'stopped';
  }

  /** One look, one step. Answers what to do then: wait for a time or, undefined, for news. */
  async #once(signal: AbortSignal): Promise<'again' | 'absent' | Date | undefined> {
    try {
      const cancelled = this.#operation?.cancelled;
      if (cancelled !== undefined) throw cancelled;
      return await this.#advance(signal);
    } catch (error) {
      const cancelled = this.#operation?.cancelled;
      if (cancelled !== undefined) {
        await this.#failOperation(cancelled);
        return 'again';
      }
      // A request took over, or the service stops.
      if (signal.aborted) return 'again';
      return this.#failed(error);
    }
  }

  async #advance(signal: AbortSignal): Promise<'again' | 'absent' | Date | undefined> {
    const { engine, name, prepare, engineReachable, now } = this.#options;
    if (!engineReachable()) {
      this.#tell({ known: false });
      throw new ServiceError('Unavailable', 'the container engine cannot be reached');
    }
    const container = await engine.inspect(name, signal);
    this.#tell({ container, known: true });
    this.#noteEnd(container);
    if (await this.#stopFirst(container, signal)) return 'again';
    // Before anything is asked of anybody: what failed is not tried again at every piece of news.
    const retryAt = this.#backoff.until(now());
    this.#tell({ retryAt });
    if (retryAt !== undefined) return retryAt;
    const prepared = this.#goal === 'absent' ? undefined : await prepare(signal);
    const imagePresent =
      prepared === undefined || (await engine.findImage(prepared.image, signal)) !== undefined;
    signal.throwIfAborted();
    const [step] = plan({ container, imagePresent }, desiredOf(this.#goal, prepared));
    if (step === undefined) return this.#settled();
    await this.#do(step, prepared, signal);
    return 'again';
  }

  /** Stopping needs nothing but the container, if there is one: it works when no identity can be had. */
  async #stopFirst(container: Container | undefined, signal: AbortSignal): Promise<boolean> {
    if (this.#goal !== 'restart' && this.#goal !== 'stopped') return false;
    if (container?.ours === true && isLive(container)) {
      await this.#do({ kind: 'stop', id: container.id }, undefined, signal);
      return true;
    }
    if (this.#goal === 'restart') await this.#setGoal('start');
    else if (this.#operation?.request.until === 'stopped') this.#endOperation();
    return false;
  }

  async #do(step: Step, prepared: Prepared | undefined, signal: AbortSignal): Promise<void> {
    const { log, name } = this.#options;
    const again = step.kind === 'start' && this.#goal === 'started' && (this.#lastEnd ?? 0) > 0;
    this.#tell({ step: step.kind, progress: 0, progressText: step.kind });
    try {
      await apply(step, this.#work(prepared), signal);
    } finally {
      this.#tell({ step: undefined, progress: 0, progressText: '' });
    }
    log.info('module step done', { module: name, step: step.kind });
    // An end that was made here is no failure of the module.
    if (step.kind === 'stop') this.#lastEnd = undefined;
    this.#tell({
      error: '',
      restartCount: this.#report.restartCount + (again ? 1 : 0),
    });
    if (step.kind === 'start' && this.#goal === 'start') {
      await this.#setGoal('started');
      this.#endOperation();
    }
  }

  #work(prepared: Prepared | undefined): Work {
    const { engine, name } = this.#options;
    return {
      engine,
      name,
      image: '',
      auth: undefined,
      body: {},
      network: { name: '' },
      check: () => Promise.resolve(),
      ...prepared,
      stopTimeoutS: this.#operation?.request.stopTimeoutS,
      onProgress: (progress) => this.#noteProgress(progress),
    };
  }

  /** An engine says more than anybody wants to hear. */
  #noteProgress({ fraction, text }: PullProgress): void {
    const now = this.#options.now().getTime();
    if (now - this.#progressAt < progressMs) return;
    this.#progressAt = now;
    this.#tell({ progress: Math.round(fraction * 100) / 100, progressText: text });
  }

  /** A container that ended although it shall run is started again after a while, at once the first time. */
  #noteEnd(container: Container | undefined): void {
    const state = container?.state;
    const end = state?.kind === 'exited' ? (state.finishedAt?.getTime() ?? 1) : 0;
    const isNew = end !== 0 && this.#lastEnd !== undefined && end !== this.#lastEnd;
    if (isNew && this.#goal === 'started' && state?.kind === 'exited') {
      const ranMs = end - (state.startedAt?.getTime() ?? end);
      this.#backoff.failed(this.#options.now(), ranMs);
      const { log, name } = this.#options;
      log.warn('module ended', { module: name, exitCode: state.exitCode, ranMs });
    }
    this.#lastEnd = end;
  }

  async #settled(): Promise<'again' | 'absent' | undefined> {
    if (this.#goal === 'absent') return this.#vanish();
    if (!this.#failedOperation) this.#tell({ error: '', retryAt: undefined });
    if (this.#goal === 'start') await this.#setGoal('started');
    this.#endOperation();
    return undefined;
  }

  /** The end of the module, unless somebody is just asking for something else. */
  async #vanish(): Promise<'again' | 'absent'> {
    if (this.#operation?.accepted === false) return 'again';
    this.#isGone = true;
    await this.#options.forget();
    this.#endOperation();
    return 'absent';
  }

  #endOperation(): void {
    if (this.#operation?.accepted !== true) return;
    this.#operation.succeed();
    this.#operation = undefined;
  }

  async #failed(error: unknown): Promise<'again' | Date | undefined> {
    const { log, name, now, engineReachable } = this.#options;
    log.warn('module step failed', { module: name, error: describeError(error) });
    const reverts = this.#operation?.reverts === true;
    await this.#failOperation(error);
    this.#tell({ error: isServiceError(error) ? error.message : 'internal error' });
    if (reverts) return 'again';
    // The monitor wakes everybody when the engine is back.
    if (!engineReachable()) return undefined;
    // A look that fails while it waits anyway is no further attempt: an engine that goes has much to say.
    if (this.#backoff.until(now()) === undefined) this.#backoff.failed(now());
    const retryAt = this.#backoff.until(now());
    this.#tell({ retryAt });
    return retryAt;
  }

  async #failOperation(error: unknown): Promise<void> {
    const operation = this.#operation;
    if (operation?.accepted !== true) return;
    this.#operation = undefined;
    this.#failedOperation = true;
    try {
      if (operation.reverts) await this.#setGoal(operation.previous);
    } catch (cause) {
      const { log, name } = this.#options;
      log.error('goal not written', { module: name, error: describeError(cause) });
    }
    operation.fail(error);
  }

  async #setGoal(goal: Goal): Promise<void> {
    await this.#options.saveGoal(goal);
    this.#goal = goal;
    this.#tell({ goal });
  }

  #tell(changes: Partial<Report>): void {
    this.#report = { ...this.#report, ...changes };
    this.#options.onReport(this.#report);
  }

  async #sleep(until: Date | undefined, signal: AbortSignal): Promise<void> {
    if (this.#poked || signal.aborted) return;
    const delayMs =
      until === undefined ? undefined : until.getTime() - this.#options.now().getTime();
    let timer: NodeJS.Timeout | undefined;
    let stop = (): void => {};
    await new Promise<void>((resolve) => {
      this.#poke = resolve;
      stop = resolve;
      signal.addEventListener('abort', stop, { once: true });
      if (delayMs !== undefined) timer = setTimeout(resolve, Math.max(delayMs, 0));
    });
    signal.removeEventListener('abort', stop);
    clearTimeout(timer);
  }
}
