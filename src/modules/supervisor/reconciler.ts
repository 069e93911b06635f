import type { Via } from '../../dbus/client/via.ts';
import { ServiceError } from '../../errors.ts';
import { quoted } from '../../quoted.ts';
import type { Log } from '../../service/log/log.ts';
import { apply } from './apply.ts';
import {
  type DesiredState,
  desiredRun,
  type Goal,
  isAbsence,
  needsInstance,
} from './desired-state.ts';
import {
  DamagedInstance,
  type Instance,
  type InstanceSpec,
  type ModuleType,
  type Refused,
} from './module-type.ts';
import type { Observer } from './observer.ts';
import type { Admission } from './order/start-order.ts';
import type { OperationSlot } from './pending-operation.ts';
import { isBroken, isLive, plan, type Step } from './plan.ts';
import { AutoRestart } from './restart/auto-restart.ts';
import type { RestartBackoff } from './restart/restart-backoff.ts';
import { type RestartPolicy, restartsAfter, restartsUnhealthy } from './restart/restart-policy.ts';
import {
  isCounted,
  type RestartCause,
  type RestartReason,
  reasonText,
} from './restart/restart-reason.ts';
import type { StatusTracker } from './status.ts';

/** Dependencies of a reconciler. */
export interface ReconcilerOptions {
  readonly name: string;
  readonly type: ModuleType;
  readonly restartPolicy: RestartPolicy;
  readonly prepare: (via: Via) => Promise<InstanceSpec | Refused>;
  /** Deletes the module's identity at the hub. */
  readonly eraseIdentity: (via: Via) => Promise<void>;
  /** Removes the persisted state; only then the module is absent. Never rejects. */
  readonly remove: () => Promise<void>;
  /** Asked before each start; without it the module waits for no other. */
  readonly admit?: (() => Admission) | undefined;
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
}

/** The next thing after a round: another one, the end, or a wait for a time or, undefined, for an event. */
export type Next = 'again' | 'absent' | Date | undefined;

/** Brings the instance of a module to its desired state, one step per round. */
export class Reconciler {
  readonly #options: ReconcilerOptions;
  readonly #state: ReconcilerState;
  readonly #autoRestart: AutoRestart;
  /** Whether the last check refused to run it. */
  #isRefused = false;
  /** Of `erased`: whether its identity has been deleted. */
  #isErased = false;
  /** Why it is about to be restarted, when that is not how its last run ended. */
  #reason: RestartReason | undefined;
  /** The instance that can only be created again. */
  #damagedId = '';
  /** The last instance that was neither dead nor being removed. */
  #wholeId = '';

  constructor(options: ReconcilerOptions, state: ReconcilerState) {
    this.#options = options;
    this.#state = state;
    this.#autoRestart = new AutoRestart(options);
  }

  /** Begins a new operation: a deleted identity may exist again. */
  beginOperation(): void {
    this.#isErased = false;
    this.#reason = undefined;
  }

  /** One observation, one step. */
  async reconcile(signal: AbortSignal): Promise<Next> {
    const { backoff, desired, observer, operation, status } = this.#state;
    const before = status.current.instance;
    const instance = await observer.observe(signal);
    if (before !== undefined && instance === undefined) this.#reason ??= { cause: 'removed' };
    if (instance !== undefined && !isBroken(instance)) this.#wholeId = instance.id;
    const autoRestarts = await this.#autoRestart.disable(instance, signal);
    if (instance?.ours === true) await this.#applyPolicy(instance);
    signal.throwIfAborted();
    if (await this.#stopFirst(instance, signal)) return 'again';
    const { retryAt } = backoff;
    status.note({ retryAt });
    if (operation.current?.hasStarted === true) operation.reach();
    // before other services are called: a failure is not retried at every event
    if (retryAt !== undefined) return retryAt;
    // one that was stopped because it may not run is not about to start
    if (!this.#isRefused) status.publish();
    if (await this.#eraseFirst(instance, signal)) return 'again';
    const { goal } = desired;
    const step = await this.#nextStep(instance, goal, signal);
    if (step === undefined) {
      const next = (await this.#settled(goal)) ?? instance?.drift?.repairAt;
      return next ?? (autoRestarts ? backoff.unobserved() : undefined);
    }
    const waitUntil = step.kind === 'start' ? this.#waitForOthers() : undefined;
    if (waitUntil !== undefined) return waitUntil;
    await this.#do(step, signal);
    return 'again';
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
    status.note({ progressText: `waits for ${quoted(admission.waitsFor)} to start` });
    return admission.until;
  }

  /** The next step towards the desired state, undefined when it is reached. */
  async #nextStep(
    instance: Instance | undefined,
    goal: Goal,
    signal: AbortSignal,
  ): Promise<Step | undefined> {
    if (!needsInstance(goal)) return plan(instance, { kind: 'absent' })[0];
    const { name, prepare } = this.#options;
    const { operation } = this.#state;
    const spec = await prepare(operation.via(signal));
    this.#isRefused = spec.refusal !== undefined;
    if (spec.refusal !== undefined) {
      this.#reason = { cause: 'refused' };
      return refusedStep(instance, spec.refusal);
    }
    if (instance?.ours === false) throw nameTaken(name);
    const { current } = operation;
    const refresh = current?.options.isCreation === true && !current.hasPulled;
    const resolved = await spec.resolve({ refresh }, signal);
    signal.throwIfAborted();
    const found = instance && this.#asDamaged(instance);
    const [step] = plan(found, { kind: 'present', spec, resolved, run: desiredRun(goal) });
    if (found !== undefined && (step?.kind === 'stop' || step?.kind === 'remove')) {
      this.#reason ??= { cause: this.#causeOfReplacement(found, spec.digest) };
    }
    return step;
  }

  #causeOfReplacement(instance: Instance, digest: string): RestartCause {
    if (instance.drift !== undefined) return 'drifted';
    if (instance.digest !== digest) return 'changed';
    // it is dead for a while when another process removes it
    const isGoing = instance.id === this.#wholeId && instance.id !== this.#damagedId;
    return isGoing ? 'removed' : 'damaged';
  }

  /** An instance that could not be started or unpaused is as good as dead, unless it runs nevertheless. */
  #asDamaged(instance: Instance): Instance {
    const isDamaged = instance.id === this.#damagedId && instance.state.kind !== 'running';
    return isDamaged ? { ...instance, state: { kind: 'dead' } } : instance;
  }

  /** Applies the restart policy to an instance that has just ended, or whose health check fails. */
  async #applyPolicy({ state, unhealthy }: Instance): Promise<void> {
    const { log, name, now, restartPolicy } = this.#options;
    const { backoff, desired, operation } = this.#state;
    // a pending operation takes precedence over the policy
    if (operation.current !== undefined || desired.goal !== 'started') return;
    const { endedItself } = backoff;
    if (endedItself && state.kind === 'exited' && !restartsAfter(restartPolicy, state.exitCode)) {
      backoff.reset();
      await desired.advance('started', 'ended');
    }
    if (!unhealthy || !restartsUnhealthy(restartPolicy)) return;
    log.warn('module unhealthy', { module: name });
    const startedAt = state.kind === 'running' ? state.startedAt : now();
    backoff.ran(now().getTime() - startedAt.getTime());
    this.#reason = { cause: 'unhealthy' };
    await desired.advance('started', 'restart');
  }

  /** Stopping needs only the instance: it works while no identity is available. */
  async #stopFirst(instance: Instance | undefined, signal: AbortSignal): Promise<boolean> {
    const { desired, operation } = this.#state;
    const { goal } = desired;
    if (goal !== 'restart' && goal !== 'stopped') return false;
    if (await this.#stopLive(instance, signal)) return true;
    if (goal === 'restart') {
      this.#reason ??= { cause: 'requested' };
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
    const { log, name, type } = this.#options;
    const { backoff, desired, operation, status } = this.#state;
    const { goal } = desired;
    const { current } = operation;
    const reason = step.kind === 'start' ? this.#restartReason(goal) : undefined;
    status.begin(step.kind);
    const context = {
      type,
      name,
      stopTimeoutS: current?.options.stopTimeoutS,
      onProgress: status.progress.bind(status),
      onPulled: (note: string) => status.note({ note }),
    };
    try {
      await apply(step, context, signal);
    } catch (error) {
      const isStuck = step.kind === 'unpause' && !signal.aborted;
      if (isStuck || error instanceof DamagedInstance) {
        this.#damagedId = status.current.instance?.id ?? '';
      }
      throw error;
    }
    log.info('module step done', { module: name, step: step.kind });
    if (step.kind === 'pull' && current !== undefined) current.hasPulled = true;
    if (step.kind === 'stop') backoff.stopped();
    if (step.kind === 'remove') this.#damagedId = '';
    if (step.kind === 'start') backoff.started();
    if (!status.current.failed) status.note({ error: '' });
    if (reason !== undefined) this.#restarted(reason);
    if (step.kind !== 'start' || goal !== 'start') return;
    await desired.advance('start', 'started');
    if (current !== undefined) current.hasStarted = true;
  }

  /** Why the instance is started with this desired state, undefined when that is its first start or was requested. */
  #restartReason(goal: Goal): RestartReason | undefined {
    const { backoff, status } = this.#state;
    if (this.#reason !== undefined || goal === 'start') return this.#reason;
    const { endCause } = backoff;
    const state = status.current.instance?.state;
    if (endCause !== 'exited') return endCause && { cause: endCause };
    return { cause: endCause, exitCode: state?.kind === 'exited' ? state.exitCode : 0 };
  }

  #restarted(reason: RestartReason): void {
    const { log, name } = this.#options;
    const { status } = this.#state;
    const { restartCount: before } = status.current;
    const restartCount = isCounted(reason) ? before + 1 : before;
    status.note({ restartCount, restartReason: reasonText(reason) });
    log.info('module restarted', { module: name, ...reason, restartCount });
    this.#reason = undefined;
  }

  async #settled(goal: Goal): Promise<'again' | 'absent' | undefined> {
    const { desired, operation, status } = this.#state;
    this.#reason = undefined;
    if (isAbsence(goal)) return this.#vanish(goal);
    if (goal !== 'failed' && !status.current.failed) status.note({ error: '' });
    if (goal === 'start') await desired.advance('start', 'started');
    operation.reach();
    return undefined;
  }

  /** Ends the module, unless an operation has just changed the desired state. */
  async #vanish(goal: Goal): Promise<'again' | 'absent'> {
    const { desired, operation } = this.#state;
    if (!(await desired.close(goal))) return 'again';
    await this.#options.remove();
    operation.reach();
    return 'absent';
  }
}

/** Stops a module that may not run; throws the refusal when it does not run. */
function refusedStep(instance: Instance | undefined, refusal: ServiceError): Step {
  if (instance?.ours !== true || !isLive(instance)) throw refusal;
  return { kind: 'stop', id: instance.id };
}

function nameTaken(name: string): ServiceError {
  const text = `another container has the name of module ${quoted(name)}: remove that one, or rename it`;
  return new ServiceError('AlreadyExists', text);
}
