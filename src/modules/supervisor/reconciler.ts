import type { Via } from '../../dbus/client/via.ts';
import { ServiceError } from '../../errors.ts';
import { quoted } from '../../quoted.ts';
import type { Log } from '../../service/log/log.ts';
import { apply } from './apply.ts';
import { AutoRestart } from './auto-restart.ts';
import {
  type DesiredState,
  desiredRun,
  type Goal,
  isAbsence,
  needsInstance,
} from './desired-state.ts';
import type { Instance, InstanceSpec, ModuleType, Refused } from './module-type.ts';
import type { Observer } from './observer.ts';
import type { OperationSlot } from './pending-operation.ts';
import { isLive, plan, type Step } from './plan.ts';
import type { RestartBackoff } from './restart-backoff.ts';
import { type RestartPolicy, restartsAfter, restartsUnhealthy } from './restart-policy.ts';
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

  constructor(options: ReconcilerOptions, state: ReconcilerState) {
    this.#options = options;
    this.#state = state;
    this.#autoRestart = new AutoRestart(options);
  }

  /** Begins a new operation: a deleted identity may exist again. */
  beginOperation(): void {
    this.#isErased = false;
  }

  /** One observation, one step. */
  async reconcile(signal: AbortSignal): Promise<Next> {
    const { backoff, desired, observer, operation, status } = this.#state;
    const instance = await observer.observe(signal);
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
      return (await this.#settled(goal)) ?? (autoRestarts ? backoff.unobserved() : undefined);
    }
    await this.#do(step, signal);
    return 'again';
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
    if (spec.refusal !== undefined) return refusedStep(instance, spec.refusal);
    if (instance?.ours === false) throw nameTaken(name);
    const { current } = operation;
    const refresh = current?.options.isCreation === true && !current.hasPulled;
    const resolved = await spec.resolve({ refresh }, signal);
    signal.throwIfAborted();
    return plan(instance, { kind: 'present', spec, resolved, run: desiredRun(goal) })[0];
  }

  /** Applies the restart policy to an instance that has just ended, or whose health check fails. */
  async #applyPolicy({ state, unhealthy }: Instance): Promise<void> {
    const { log, name, restartPolicy } = this.#options;
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
    backoff.failed();
    await desired.advance('started', 'restart');
  }

  /** Stopping needs only the instance: it works while no identity is available. */
  async #stopFirst(instance: Instance | undefined, signal: AbortSignal): Promise<boolean> {
    const { desired, operation } = this.#state;
    const { goal } = desired;
    if (goal !== 'restart' && goal !== 'stopped') return false;
    if (await this.#stopLive(instance, signal)) return true;
    if (goal === 'restart') await desired.advance('restart', 'start');
    else if (operation.current?.options.until === 'stopped') operation.reach();
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
    const isRestart = step.kind === 'start' && goal === 'started' && backoff.hasEnded;
    status.begin(step.kind);
    const context = {
      type,
      name,
      stopTimeoutS: current?.options.stopTimeoutS,
      onProgress: status.progress.bind(status),
      onPulled: (note: string) => status.note({ note }),
    };
    await apply(step, context, signal);
    log.info('module step done', { module: name, step: step.kind });
    if (step.kind === 'pull' && current !== undefined) current.hasPulled = true;
    if (step.kind === 'stop') backoff.stopped();
    if (step.kind === 'start') backoff.started();
    const { failed, restartCount } = status.current;
    if (!failed) status.note({ error: '' });
    if (isRestart) status.note({ restartCount: restartCount + 1 });
    if (step.kind !== 'start' || goal !== 'start') return;
    await desired.advance('start', 'started');
    if (current !== undefined) current.hasStarted = true;
  }

  async #settled(goal: Goal): Promise<'again' | 'absent' | undefined> {
    const { desired, operation, status } = this.#state;
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
