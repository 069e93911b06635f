import { isServiceError, ServiceError } from '../errors.ts';
import type { ModuleName } from '../ids.ts';
import type { Operation } from '../service/operations/operation.ts';
import type { OperationKind, Operations } from '../service/operations/operations.ts';
import type { ManagedModule } from './managed-module.ts';
import type { ModuleSource } from './module-source.ts';
import { Superseded } from './registry/reconfigured.ts';
import type { DesiredState, Goal, ModuleVerb } from './supervisor/desired-state.ts';

/** Arguments of an operation. */
export interface Change {
  readonly stopTimeoutS?: number | undefined;
  /** Of Stop: whether the module is started again when an update fails that follows. */
  readonly resumes?: boolean;
  /** Of DeleteModule: whether the identity at the hub is deleted too. */
  readonly identity?: boolean;
}

/** Arguments of UpdateModule. */
export interface Update {
  readonly source: ModuleSource;
  /** Whether the new instance is to run; undefined: if the old one ran. */
  readonly start?: boolean | undefined;
  /** `started`: done as soon as the new instance runs; it is observed, and rolled back, behind the operation. */
  readonly until?: 'started' | undefined;
}

/** Dependencies of the operations. */
export interface OperationParts {
  /** The module of that name, or NotFound. */
  readonly require: (name: string) => ManagedModule;
  readonly find: (name: string) => ManagedModule | undefined;
  /** Opens the module to be created, or finds the one whose creation failed; throws to refuse. */
  readonly claim: (source: ModuleSource, accept: Accept) => Promise<void>;
  /** Checks and accepts the update of a module; throws to refuse. */
  readonly claimUpdate: (update: Update) => Promise<void>;
  /** Pulls what an instance needs. */
  readonly fetch: (source: ModuleSource, operation: Operation<ModuleSource, void>) => Promise<void>;
  /** Throws to refuse. */
  readonly mayDelete: (name: string) => void;
  /** Lets the module be registered again if its identity was deleted. */
  readonly reclaimIdentity: (name: ModuleName) => void;
}

/** Persists the operation on a module. */
export type Accept = (module: ManagedModule) => Promise<void>;

/** Every operation on modules. */
export interface ModuleOperations {
  readonly create: OperationKind<ModuleSource, void>;
  readonly update: OperationKind<Update, void>;
  /** Persists nothing: it only pulls, which the update repeats. */
  readonly prepare: OperationKind<ModuleSource, void>;
  readonly start: OperationKind<Change, void>;
  readonly stop: OperationKind<Change, void>;
  readonly restart: OperationKind<Change, void>;
  readonly remove: OperationKind<Change, void>;
}

/** The operations on modules. Each persists a desired state together with the operation, then reconciles with it. */
export function moduleOperations(parts: OperationParts): ModuleOperations {
  return {
    create: createKind(parts),
    update: updateKind(parts),
    prepare: {
      verb: 'PrepareUpdate',
      persist: () => Promise.resolve(),
      run: (operation) => parts.fetch(operation.args, operation),
      remove: () => Promise.resolve(),
    },
    start: changeKind(parts, 'Start', () => 'start'),
    stop: changeKind(parts, 'Stop', () => 'stopped'),
    restart: changeKind(parts, 'Restart', () => 'restart'),
    remove: changeKind(parts, 'DeleteModule', ({ identity }) =>
      identity === true ? 'erased' : 'absent',
    ),
  };
}

function createKind(parts: OperationParts): OperationKind<ModuleSource, void> {
  const verb = 'CreateModule';
  return {
    verb,
    persist: (_name, source) =>
      parts.claim(source, async ({ name, supervisor }) => {
        await supervisor.desired.accept('stopped', { verb });
        parts.reclaimIdentity(name);
      }),
    run: (operation) => reconcile(parts.require(operation.id), operation, {}),
    remove: async (name) => parts.find(name)?.supervisor.desired.settle(),
  };
}

function updateKind(parts: OperationParts): OperationKind<Update, void> {
  return {
    verb: 'UpdateModule',
    persist: (_name, update) => parts.claimUpdate(update),
    run: (operation) => {
      const { until = 'proven' } = operation.args;
      return reconcile(parts.require(operation.id), operation, {}, until);
    },
    remove: async (name) => parts.find(name)?.supervisor.desired.settle(),
  };
}

function changeKind(
  parts: OperationParts,
  verb: ModuleVerb,
  goalOf: (change: Change) => Goal,
): OperationKind<Change, void> {
  return {
    verb,
    persist: async (name, change) => {
      const module = parts.require(name);
      if (verb === 'DeleteModule') parts.mayDelete(name);
      else refuseAbsent(module);
      const { resumes, stopTimeoutS } = change;
      await module.supervisor.desired.accept(goalOf(change), { verb, stopTimeoutS, resumes });
      if (verb === 'Start' || verb === 'Restart') parts.reclaimIdentity(module.name);
    },
    run: (operation) => {
      const until = verb === 'Stop' ? 'stopped' : undefined;
      return reconcile(parts.require(operation.id), operation, operation.args, until);
    },
    remove: async (name) => parts.find(name)?.supervisor.desired.settle(),
  };
}

/** Throws Unavailable for a module that is being removed, such as while the engine is unreachable, or that could not be created. */
export function refuseAbsent({ name, isVanishing, supervisor }: ManagedModule): void {
  const text = `module ${JSON.stringify(name)}`;
  if (isVanishing) throw new ServiceError('Unavailable', `${text} is being removed`);
  const { goal, failure } = supervisor.desired;
  if (goal === 'failed')
    throw new ServiceError('Unavailable', `${text} was not created: ${failure}`);
}

async function reconcile(
  module: ManagedModule,
  operation: Operation<unknown, void>,
  { stopTimeoutS }: Change,
  until?: 'stopped' | 'started' | 'proven',
): Promise<void> {
  const { supervisor } = module;
  const options = {
    until,
    stopTimeoutS,
    isCreation: operation.verb === 'CreateModule',
    requestId: operation.requestId,
    isPatient: () => !operation.isAttended,
    isUndone: () => undoneGoal(module, operation) !== undefined,
  };
  try {
    await supervisor.reach(options, operation.signal);
  } catch (error) {
    // the configuration has undone it already
    if (operation.signal.reason instanceof Superseded) throw error;
    if (!operation.signal.aborted || operation.isCancelled) await undo(module, operation, error);
    // the service stops: the next process undoes it, or resumes it when no caller waits
    else if (operation.isAwaited) await settleUndone(module, operation, error);
    throw error;
  }
}

/** Persists the desired state after a failure; resolves when it is reached or cannot be reached at present. */
async function undo(
  module: ManagedModule,
  operation: Operation<unknown, void>,
  error: unknown,
): Promise<void> {
  const { supervisor } = module;
  // an operation that starts a bad instance is undone together with its update
  const isUndone = (undoneGoal(module, operation) ?? supervisor.desired.update) !== undefined;
  await settleUndone(module, operation, error);
  if (isUndone) await supervisor.undo();
}

/** Persists the desired state after a failure. */
async function settleUndone(
  module: ManagedModule,
  operation: Operation<unknown, void>,
  error: unknown,
): Promise<void> {
  const { supervisor } = module;
  if (operation.verb === 'UpdateModule') {
    return supervisor.undoUpdate(operation.signal.aborted ? undefined : error);
  }
  const failure = isServiceError(error) ? error.message : 'internal error';
  await supervisor.desired.settle(undoneGoal(module, operation), failure);
}

/** The desired state after a failure: the previous one, unless no caller waits; then it is retried, or `failed`. */
function undoneGoal(
  { supervisor }: ManagedModule,
  { isAttended, isCancelled, verb }: Operation<unknown, void>,
): Goal | undefined {
  const previous = supervisor.desired.operation?.previous;
  if (isAttended || isCancelled || verb === 'UpdateModule') return previous;
  return verb === 'CreateModule' ? 'failed' : undefined;
}

/** Resumes the operation on a module that the previous process accepted, if any. */
export function resumeOperation(
  operations: Operations,
  { create, update, start, stop, restart, remove }: ModuleOperations,
  { name, source, supervisor }: ManagedModule,
): void {
  const { goal, operation } = supervisor.desired;
  if (operation === undefined) return;
  const { stopTimeoutS, verb } = operation;
  if (verb === 'CreateModule') return operations.resume(create, name, source);
  if (verb === 'UpdateModule') {
    return operations.resume(update, name, resumedUpdate(supervisor.desired));
  }
  const timeout = stopTimeoutS === undefined ? {} : { stopTimeoutS };
  const change = { ...timeout, ...(goal === 'erased' && { identity: true }) };
  const kinds = { Start: start, Stop: stop, Restart: restart, DeleteModule: remove };
  return operations.resume(kinds[verb], name, change);
}

/** The arguments of the update that the previous process accepted. */
function resumedUpdate({ source, update }: DesiredState): Update {
  if (update === undefined) return { source };
  const isInForce = update.phase === 'trial' || update.phase === 'done';
  const { start } = update;
  return { source: isInForce ? source : update.other, ...(start !== undefined && { start }) };
}
