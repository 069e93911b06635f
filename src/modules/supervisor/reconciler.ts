import type { Via } from '../../dbus/client/via.ts';
import { describeError } from '../../errors.ts';
import { quoted } from '../../quoted.ts';
import type { Log } from '../../service/log/log.ts';
import { apply } from './apply.ts';
import {
  type DesiredState,
  type Goal,
  isAbsence,
  isToRun,
  needsInstance,
} from './desired-state.ts';
import type { Instance, InstanceState, ModuleType } from './module-type.ts';
import type { Observer } from './observer.ts';
import type { Admission } from './order/start-order.ts';
import type { OperationSlot } from './pending-operation.ts';
import { isLive, type Observed, type Step } from './plan.ts';
import { Planner, type PlannerOptions } from './planner.ts';
import { AutoRestart } from './restart/auto-restart.ts';
import type { RestartBackoff } from './restart/restart-backoff.ts';
import { type RestartPolicy, restartsAfter, restartsUnhealthy } from './restart/restart-policy.ts';
import { RestartTracker } from './restart/restart-tracker.ts';
import type { StatusTracker } from './status.ts';
import type { FailedOutput } from './update/failed-output.ts';
import { type Former, otherLive } from './update/former.ts';
import { Leftovers } from './update/leftovers.ts';
import type { PullWarnings } from './update/pull-warnings.ts';
import type { Removals } from './update/removals.ts';
import { StartLimit } from './update/start-limit.ts';
import { Trial, type TrialLimits, trialLimits, type Verdict } from './update/trial.ts';
import { isOpen, RolledBack } from './update/update.ts';

/** Dependencies of a reconciler. */
export interface ReconcilerOptions extends PlannerOptions {
  readonly type: ModuleType;
  readonly restartPolicy: RestartPolicy;
  /** Deletes the module's identity at the hub. */
  readonly eraseIdentity: (via: Via) => Promise<void>;
  /** Removes the persisted state; only then the module is absent. Never rejects. */
  readonly remove: () => Promise<void>;
  /** Something is still kept for the module, which was removed. */
  readonly onKept?: (() => void) | undefined;
  /** Since when the engine has run at least, as far as the instances show that the service found running. */
  readonly engineRanSince?: (() => Date | undefined) | undefined;
  /** Asked before each start; without it the module waits for no other. */
  readonly admit?: (() => Admission) | undefined;
  /** Makes ready what an instance needs beside its type, before each start. */
  readonly beforeStart?: (() => Promise<void>) | undefined;
  /** How long the new instance of an update is observed. */
  readonly trial?: Partial<TrialLimits> | undefined;
  /** How long the engine may take to release what was kept for an update. */
  readonly releaseMs?: number | undefined;
  /** The monotonic clock; that of the process by default. */
  readonly monotonicMs?: (() => number) | undefined;
  readonly now: () => Date;
  readonly log: Log;
}

/** The state of the module that a round reads and changes. */
export interface ReconcilerState {
  readonly desired: DesiredState;
  readonly status: StatusTracker;
  readonly backoff: RestartBackoff;
  readonly operation: OperationSlot;
  readonly observer: Observer;
  readonly removals: Removals;
  readonly pullWarnings: PullWarnings;
  readonly failedOutput: FailedOutput;
}

/** The next thing after a round: another one, the end, or a wait for a time or, undefined, for an event. */
export type Next = 'again' | 'absent' | Date | undefined;

/** Brings the instance of a module to its desired state, one step per round. */
export class Reconciler {
  readonly #options: ReconcilerOptions;
  readonly #state: ReconcilerState;
  readonly #autoRestart: AutoRestart;
  readonly #restarts: RestartTracker;
  readonly #trial: Trial;
  readonly #startLimit: StartLimit;
  readonly #planner: Planner;
  readonly #leftovers: Leftovers;
  /** Of `erased`: whether its identity has been deleted. */
  #isErased = false;

  constructor(options: ReconcilerOptions, state: ReconcilerState) {
    this.#options = options;
    this.#state = state;
    this.#autoRestart = new AutoRestart(options);
    const { backoff, status } = state;
    this.#restarts = new RestartTracker({ ...options, backoff, status });
    const leftovers = new Leftovers(options, state);
    this.#leftovers = leftovers;
    this.#planner = new Planner(options, { ...state, restarts: this.#restarts, leftovers });
    const limits = { ...trialLimits, ...options.trial };
    this.#trial = new Trial(limits);
    this.#startLimit = new StartLimit(limits.startMs, state.desired);
  }

  /** Whether an operation waits for what is removed beside the module. */
  get isCleaningUp(): boolean {
    return this.#leftovers.isPending;
  }

  /** Whether the last preparation succeeded. */
  get isPrepared(): boolean {
    return this.#planner.isPrepared;
  }

  /** Begins a new operation: a deleted identity may exist again. */
  beginOperation(): void {
    this.#isErased = false;
    this.#restarts.reset();
    this.#planner.beginOperation();
  }

  /** Retries at once: the cause of a failure may have changed. */
  retry(): void {
    this.#leftovers.reset();
  }

  /**
   * Records that the new instance of an update could not be created or started for a cause that passes by itself; resolves
   * to whether that has lasted too long.
   */
  isOverdue(): Promise<boolean> {
    return this.#startLimit.failed(this.#monotonicMs());
  }

  /** One observation, one step. RolledBack when the new instance of an update is bad. */
  async reconcile(signal: AbortSignal): Promise<Next> {
    const { backoff, desired, observer, operation, status } = this.#state;
    const before = status.current.instance;
    this.#leftovers.settle();
    const observed = await observer.observe(signal);
    const { instance } = observed;
    const isGone = before !== undefined && instance === undefined;
    if (isGone && !isOpen(desired.update)) this.#restarts.vanished();
    if (await this.#stopOther(observed, signal)) return 'again';
    const autoRestarts = await this.#autoRestart.disable(instance, signal);
    const verdict = this.#judge(instance);
    if (verdict?.kind === 'bad') throw new RolledBack(verdict.reason);
    if (verdict === undefined && instance?.ours === true) await this.#applyPolicy(instance);
    signal.throwIfAborted();
    if (await this.#stopFirst(instance, signal)) return 'again';
    const { retryAt } = backoff;
    status.note({ retryAt });
    if (operation.current?.hasStarted === true) operation.reach();
    // before other services are called: a failure is not retried at every event
    const isFetching = desired.update?.phase === 'fetch' && this.#planner.isPrepared;
    if (retryAt !== undefined && !isFetching) return retryAt;
    // one that was stopped because it may not run is not about to start
    if (!this.#planner.isRefused) status.publish();
    if (await this.#eraseFirst(instance, signal)) return 'again';
    const { goal } = desired;
    if (verdict?.kind === 'pending' && verdict.at !== undefined) {
      await this.#beginTrial(goal);
      return verdict.at;
    }
    const judgedId = this.#planner.newId;
    const step = await this.#planner.next(
      observed,
      { goal, isGood: verdict?.kind === 'good' },
      signal,
    );
    // another operation may have begun, which this round does not reach
    signal.throwIfAborted();
    const { newId } = this.#planner;
    // before it is started again: it may have ended while it could not be recognized
    if (verdict !== undefined && newId !== undefined && newId !== judgedId) return 'again';
    if (step !== undefined) {
      const waitUntil = step.kind === 'start' ? this.#waitForOthers() : undefined;
      if (waitUntil !== undefined) return waitUntil;
      const isBeside = step.kind === 'remove' && this.#planner.isCleanUp(step);
      if (isBeside) this.#leftovers.begin(step.id);
      else await this.#do(step, signal);
      return 'again';
    }
    if (verdict !== undefined && isToRun(goal)) return newId === judgedId ? undefined : 'again';
    const next = await this.#settled(goal, observed.former, signal);
    if (next !== undefined) return next;
    return earliest([
      ...this.#leftovers.retryTimes,
      instance?.drift?.repairAt ?? (autoRestarts ? backoff.unobserved() : undefined),
    ]);
  }

  /** Stops an instance that runs beside that of the module: another client of the engine has started it. */
  async #stopOther(
    observed: Pick<Observed, 'parked' | 'bad'> & { readonly former: Former },
    signal: AbortSignal,
  ): Promise<boolean> {
    const other = otherLive(observed);
    if (other === undefined) return false;
    const { log, name, type } = this.#options;
    await type.stop(other.id, undefined, signal);
    log.warn('parked container stopped', { module: name });
    return true;
  }

  /** The verdict on the new instance of an update, undefined when none is tried. */
  #judge(instance: Instance | undefined): Verdict | undefined {
    const { backoff, desired } = this.#state;
    const { goal, update } = desired;
    if (update?.phase !== 'trial' || !needsInstance(goal)) return undefined;
    const tried =
      instance?.ours === true && instance.id === this.#planner.newId ? instance : undefined;
    const { endedItself } = backoff;
    const times = { now: this.#options.now(), monotonicMs: this.#monotonicMs() };
    return this.#trial.judge(tried, { goal, endedItself, ...times });
  }

  #monotonicMs(): number {
    return this.#options.monotonicMs?.() ?? performance.now();
  }

  /** The new instance of an update runs: only its update waits for the verdict. */
  async #beginTrial(goal: Goal): Promise<void> {
    const { desired, operation, status } = this.#state;
    if (goal === 'start') await desired.advance('start', 'started');
    await this.#startLimit.reset();
    if (operation.current?.options.until !== 'proven') operation.reach();
    status.note({ error: '', progressText: 'trial' });
  }

  /** Until when the module waits for others that start before it, undefined when it may start. */
  #waitForOthers(): Date | undefined {
    const admission = this.#options.admit?.();
    if (admission === undefined) return undefined;
    const { status } = this.#state;
    if (admission.waitsFor === undefined) {
      status.note({ orderWarning: admission.warning });
      return undefined;
    }
    const { event = 'start', until, waitsFor } = admission;
    status.note({ progressText: `waits for ${quoted(waitsFor)} to ${event}` });
    return until;
  }

  /** Applies the restart policy to an instance that has just ended, or whose health check fails. */
  async #applyPolicy(instance: Instance): Promise<void> {
    const { log, name, now, restartPolicy } = this.#options;
    const { backoff, desired, operation } = this.#state;
    const { state, unhealthy } = instance;
    if (this.#leftovers.isAwaited && (!isLive(instance) || unhealthy)) operation.reach();
    // a pending operation takes precedence over the policy, until it has started the module
    if (operation.current?.hasStarted === false || desired.goal !== 'started') return;
    const hasEnded = backoff.endCause === 'exited' || this.#endedBefore(state);
    if (hasEnded && state.kind === 'exited' && !restartsAfter(restartPolicy, state.exitCode)) {
      backoff.reset();
      await desired.advance('started', 'ended');
    }
    if (!unhealthy || !restartsUnhealthy(restartPolicy)) return;
    log.warn('module unhealthy', { module: name });
    const startedAt = state.kind === 'running' ? state.startedAt : now();
    backoff.ran(now().getTime() - startedAt.getTime());
    this.#restarts.note('unhealthy');
    await desired.advance('started', 'restart');
  }

  /** Whether it ended by itself before the service started, and not with the engine or the machine. */
  #endedBefore(state: InstanceState): boolean {
    if (this.#state.backoff.endCause !== 'not-running' || state.kind !== 'exited') return false;
    const since = this.#options.engineRanSince?.();
    return since !== undefined && state.finishedAt !== undefined && since < state.finishedAt;
  }

  /** Stopping needs only the instance: it works while no identity is available. */
  async #stopFirst(instance: Instance | undefined, signal: AbortSignal): Promise<boolean> {
    const { desired, operation } = this.#state;
    const { goal } = desired;
    if (goal !== 'restart' && goal !== 'stopped') return false;
    if (await this.#stopLive(instance, signal)) return true;
    if (goal === 'restart') {
      this.#restarts.requested();
      await desired.advance('restart', 'start');
    } else if (operation.current?.options.until === 'stopped') operation.reach();
    return false;
  }

  /** Deletes the identity after the module has stopped, and before its record, which demands the deletion. */
  async #eraseFirst(instance: Instance | undefined, signal: AbortSignal): Promise<boolean> {
    const { desired, operation } = this.#state;
    if (desired.goal !== 'erased' || this.#isErased) return false;
    if (await this.#stopLive(instance, signal)) return true;
    await this.#options.eraseIdentity(operation.via(signal));
    this.#isErased = true;
    return false;
  }

  async #stopLive(instance: Instance | undefined, signal: AbortSignal): Promise<boolean> {
    if (instance?.ours !== true || !isLive(instance)) return false;
    await this.#do({ kind: 'stop', id: instance.id }, signal);
    return true;
  }

  async #do(step: Step, signal: AbortSignal): Promise<void> {
    const { log, name, releaseMs, type } = this.#options;
    const { backoff, desired, operation, status } = this.#state;
    const { goal } = desired;
    const { current } = operation;
    const reason = step.kind === 'start' ? this.#restarts.reason(goal) : undefined;
    status.begin(step.kind);
    const context = {
      type,
      name,
      desired,
      stopTimeoutS: current?.options.stopTimeoutS,
      onProgress: status.progress.bind(status),
      onPulled: this.#pullNoter(),
      releaseMs,
    };
    try {
      if (step.kind === 'start') await this.#options.beforeStart?.();
      await apply(step, context, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      if (this.#planner.isCleanUp(step)) return this.#leftovers.leave(error);
      if (!this.#restarts.failed(step, error)) throw error;
      return log.warn('module step failed', { module: name, error: describeError(error) });
    }
    if (step.kind === 'end') this.#leftovers.removed();
    log.info('module step done', { module: name, step: step.kind });
    if (step.kind === 'pull' && current !== undefined) current.hasPulled = true;
    this.#planner.applied(step);
    // the failures of the other instance are none of this one
    if (step.kind === 'try' || step.kind === 'unpark') backoff.reset();
    if (step.kind === 'try') this.#restarts.note('updated');
    if (step.kind === 'try') this.#state.failedOutput.clear();
    if (step.kind === 'try') await this.#startLimit.reset();
    if (step.kind === 'abandon') this.#restarts.note('rolled-back');
    if (step.kind === 'stop') backoff.stopped();
    if (step.kind === 'remove') this.#restarts.removed();
    if (step.kind === 'start') backoff.started();
    if (!status.current.failed) status.note({ error: '' });
    if (reason !== undefined) this.#restarts.restarted(reason);
    if (step.kind !== 'start' || goal !== 'start') return;
    await desired.advance('start', 'started');
    if (current !== undefined && !isOpen(desired.update)) current.hasStarted = true;
  }

  /** Notes the warning of a pull that begins now. */
  #pullNoter(): (warning: string) => void {
    const { desired, pullWarnings, status } = this.#state;
    const pulled = desired.update?.phase === 'fetch' ? desired.update.other : desired.source;
    return (warning) => {
      pullWarnings.set(pulled, warning);
      status.note({ pullWarning: pullWarnings.of(desired.source) });
    };
  }

  async #settled(
    goal: Goal,
    former: Former,
    signal: AbortSignal,
  ): Promise<'again' | 'absent' | undefined> {
    const { desired, operation, status } = this.#state;
    this.#restarts.reset();
    await this.#startLimit.reset();
    if (isAbsence(goal)) {
      const isLeft = await this.#leftovers.removeNext(former, signal);
      return isLeft ? 'again' : this.#vanish(goal, signal);
    }
    if (goal !== 'failed' && !status.current.failed) status.note({ error: '' });
    if (goal === 'start') await desired.advance('start', 'started');
    // another operation may have begun meanwhile
    signal.throwIfAborted();
    if (!this.#leftovers.isAwaited) operation.reach();
    return (await this.#leftovers.clear(former, signal)) ? 'again' : undefined;
  }

  /** Ends the module, unless an operation has just changed the desired state. */
  async #vanish(goal: Goal, signal: AbortSignal): Promise<'again' | 'absent'> {
    const { desired, operation } = this.#state;
    const isReleased = desired.update === undefined || (await this.#leftovers.release(signal));
    if (!(await desired.close(goal))) return 'again';
    await this.#options.remove();
    if (!isReleased) this.#options.onKept?.();
    operation.reach();
    return 'absent';
  }
}

function earliest(times: readonly (Date | undefined)[]): Date | undefined {
  return times.reduce((first, time) => (first && time && time > first ? first : (time ?? first)));
}
