import type { Via } from '../../dbus/client/via.ts';
import { ServiceError } from '../../errors.ts';
import { quoted } from '../../quoted.ts';
import type { ModuleSource } from '../module-source.ts';
import { type DesiredState, type Goal, isToRun } from './desired-state.ts';
import type { Instance, InstanceSpec, Refused } from './module-type.ts';
import type { OperationSlot } from './pending-operation.ts';
import { isLive, isUpToDate, type Observed, plan, type Step } from './plan.ts';
import type { RestartBackoff } from './restart/restart-backoff.ts';
import type { RestartTracker } from './restart/restart-tracker.ts';
import { isCleanUp } from './update/clean-up.ts';
import { desiredAtOnce, desiredWith, mayCleanUp } from './update/desired.ts';
import type { Leftovers } from './update/leftovers.ts';
import { preparationFailure } from './update/transient.ts';
import { isNew } from './update/update.ts';

/** Dependencies of a planner. */
export interface PlannerOptions {
  readonly name: string;
  readonly prepare: (source: ModuleSource, via: Via) => Promise<InstanceSpec | Refused>;
}

/** The state of the module that a planner reads. */
export interface PlannerState {
  readonly desired: DesiredState;
  readonly backoff: RestartBackoff;
  readonly operation: OperationSlot;
  readonly restarts: RestartTracker;
  readonly leftovers: Pick<Leftovers, 'isDelayed'>;
}

const nothingFetched = { isKept: false, isPulled: false };

/** Plans the next step of a module, with the specification of its instance where that is needed. */
export class Planner {
  readonly #options: PlannerOptions;
  readonly #state: PlannerState;
  /** Of the `fetch` phase of an update: what this process has done already. */
  #fetched = nothingFetched;
  #newId: string | undefined;
  #cleanUpStep: Step | undefined;
  #isRefused = false;
  #isPrepared = true;

  constructor(options: PlannerOptions, state: PlannerState) {
    this.#options = options;
    this.#state = state;
  }

  /** The new instance of an update, as the last specification identified it. */
  get newId(): string | undefined {
    return this.#newId;
  }

  /** Whether the last check refused to run the module. */
  get isRefused(): boolean {
    return this.#isRefused;
  }

  /** Whether the last preparation succeeded. */
  get isPrepared(): boolean {
    return this.#isPrepared;
  }

  /** Whether a step that was just planned only removes what is left of an update. */
  isCleanUp(step: Step): boolean {
    return step === this.#cleanUpStep;
  }

  /** Begins a new operation, for which everything is fetched anew. */
  beginOperation(): void {
    this.#fetched = nothingFetched;
    this.#isPrepared = true;
  }

  /** Notes a step that was applied. */
  applied({ kind }: Step): void {
    if (kind === 'pull') this.#fetched = { ...this.#fetched, isPulled: true };
    if (kind === 'keep') this.#fetched = { ...this.#fetched, isKept: true };
    if (kind === 'try') this.#newId = undefined;
  }

  /** The next step towards the desired state, undefined when it is reached. */
  async next(
    observed: Observed,
    { goal, isGood }: { readonly goal: Goal; readonly isGood: boolean },
    signal: AbortSignal,
  ): Promise<Step | undefined> {
    const { desired, leftovers } = this.#state;
    const { update } = desired;
    const atOnce = desiredAtOnce({ goal, update }, isGood);
    const step = atOnce && plan(observed, atOnce)[0];
    this.#cleanUpStep = isCleanUp(step, { goal, update }) ? step : undefined;
    const isDelayed = this.#cleanUpStep !== undefined && leftovers.isDelayed(this.#cleanUpStep);
    const isLast = isDelayed || !mayCleanUp(observed, { goal, update });
    if (atOnce !== undefined && (this.#cleanUpStep === undefined || !isLast)) return step;
    if (update?.phase === 'fetch') return this.#fetchStep(observed, update.other, signal);
    return (await this.#instanceStep(observed, goal, signal)) ?? (isDelayed ? undefined : step);
  }

  /** The next step towards an instance of the configuration in force. */
  async #instanceStep(
    observed: Observed,
    goal: Goal,
    signal: AbortSignal,
  ): Promise<Step | undefined> {
    const { desired, operation, restarts } = this.#state;
    const update = desired.update?.phase === 'trial' ? desired.update : undefined;
    const { name } = this.#options;
    const { instance } = observed;
    const spec = await this.#prepare(desired.source, operation.via(signal));
    this.#isRefused = spec.refusal !== undefined;
    if (spec.refusal !== undefined && update !== undefined) throw spec.refusal;
    if (spec.refusal !== undefined) {
      restarts.note('refused');
      return refusedStep(instance, spec.refusal);
    }
    if (instance?.ours === false) throw nameTaken(name);
    const { current } = operation;
    const refresh = current?.options.isCreation === true && !current.hasPulled;
    const found = instance && restarts.observed(instance);
    const isComplete = found !== undefined && isUpToDate(found, spec);
    const isKept = desired.update?.phase === 'abandon';
    const resolved = isComplete ? undefined : await spec.resolve({ refresh, isKept }, signal);
    signal.throwIfAborted();
    if (update !== undefined) {
      this.#newId = found !== undefined && isNew(found, update, spec) ? found.id : undefined;
    }
    const wanted = desiredWith({ goal, update }, { spec, resolved });
    const [step] = plan({ ...observed, instance: found }, wanted);
    const isReplaced = step?.kind === 'stop' || step?.kind === 'remove';
    if (update === undefined && found !== undefined && isReplaced) {
      restarts.replaced(found, spec.digest);
    }
    return step;
  }

  /** The next step of an update before the old instance is parked: it keeps running meanwhile. */
  async #fetchStep(
    observed: Observed,
    next: ModuleSource,
    signal: AbortSignal,
  ): Promise<Step | undefined> {
    const { name } = this.#options;
    const { backoff, desired, operation } = this.#state;
    const { instance } = observed;
    const via = operation.via(signal);
    const spec = await this.#prepare(next, via);
    if (spec.refusal !== undefined) throw spec.refusal;
    if (instance?.ours === false) throw nameTaken(name);
    const { isPulled } = this.#fetched;
    const isKept = this.#fetched.isKept || desired.update?.proven !== undefined;
    const resolved = await spec.resolve({ refresh: !isPulled }, signal);
    const isToStart =
      backoff.retryAt === undefined &&
      isToRun(desired.goal) &&
      instance !== undefined &&
      !isLive(instance);
    const old = isToStart ? await this.#prepare(desired.source, via) : undefined;
    signal.throwIfAborted();
    const previous = old?.refusal === undefined ? old : undefined;
    return plan(observed, { kind: 'fetch', spec, resolved, previous, isKept })[0];
  }

  async #prepare(source: ModuleSource, via: Via): Promise<InstanceSpec | Refused> {
    this.#isPrepared = false;
    try {
      const spec = await this.#options.prepare(source, via);
      this.#isPrepared = true;
      return spec;
    } catch (error) {
      throw preparationFailure(error);
    }
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
