import { isServiceError, ServiceError } from '../errors.ts';
import type { Operation } from '../service/operations/operation.ts';
import type { OperationKind } from '../service/operations/operations.ts';
import type { ManagedModule } from './managed-module.ts';
import type { ModuleSource } from './module-source.ts';
import type { Goal, ModuleVerb } from './supervisor/desired-state.ts';

/** Arguments of an operation. */
export interface Change {
  readonly stopTimeoutS?: number | undefined;
  /** Of DeleteModule: whether the identity at the hub is deleted too. */
  readonly identity?: boolean;
}

/** Dependencies of the operations. */
export interface OperationParts {
  /** The module of that name, or NotFound. */
  readonly require: (name: string) => ManagedModule;
  readonly find: (name: string) => ManagedModule | undefined;
  /** Opens the module to be created, or finds the one whose creation failed; throws to refuse. */
  readonly claim: (source: ModuleSource, accept: Accept) => Promise<void>;
  /** Throws to refuse. */
  readonly mayDelete: (name: string) => void;
}

/** Persists the operation on a module. */
export type Accept = (module: ManagedModule) => Promise<void>;

/** Every operation on modules. */
export interface ModuleOperations {
  readonly create: OperationKind<ModuleSource, void>;
  readonly start: OperationKind<Change, void>;
  readonly stop: OperationKind<Change, void>;
  readonly restart: OperationKind<Change, void>;
  readonly remove: OperationKind<Change, void>;
}

/** The operations on modules. Each persists a desired state together with the operation, then reconciles with it. */
export function moduleOperations(parts: OperationParts): ModuleOperations {
  return {
    create: createKind(parts),
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
      parts.claim(source, ({ supervisor }) => supervisor.desired.accept('stopped', { verb })),
    run: (operation) => reconcile(parts.require(operation.id), operation, {}),
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
      const { stopTimeoutS } = change;
      await module.supervisor.desired.accept(goalOf(change), { verb, stopTimeoutS });
    },
    run: (operation) => reconcile(parts.require(operation.id), operation, operation.args),
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
): Promise<void> {
  const { supervisor } = module;
  const options = {
    until: operation.verb === 'Stop' ? ('stopped' as const) : undefined,
    stopTimeoutS,
    isCreation: operation.verb === 'CreateModule',
    requestId: operation.requestId,
    isPatient: () => !operation.isAttended,
    isUndone: () => undoneGoal(module, operation) !== undefined,
  };
  try {
    await supervisor.reach(options, operation.signal);
  } catch (error) {
    if (!operation.signal.aborted || operation.isCancelled) await undo(module, operation, error);
    // the service stops: the next process undoes it, or resumes it when no caller waits
    else if (operation.isAwaited) await supervisor.desired.settle(undoneGoal(module, operation));
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
  const goal = undoneGoal(module, operation);
  const failure = isServiceError(error) ? error.message : 'internal error';
  await supervisor.desired.settle(goal, failure);
  if (goal === undefined) return;
  await supervisor.undo();
}

/** The desired state after a failure: the previous one, unless no caller waits; then it is retried, or `failed`. */
function undoneGoal(
  { supervisor }: ManagedModule,
  { isAttended, isCancelled, verb }: Operation<unknown, void>,
): Goal | undefined {
  if (isAttended || isCancelled) return supervisor.desired.operation?.previous;
  return verb === 'CreateModule' ? 'failed' : undefined;
}
