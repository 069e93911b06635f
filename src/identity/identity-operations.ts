import { type ModuleId, parseModuleId } from '../ids.ts';
import type { Log } from '../service/log/log.ts';
import type { OperationKind, Operations } from '../service/operations/operations.ts';
import type {
  PendingOperation,
  PendingOperationFiles,
} from '../service/operations/pending-operation-files.ts';
import type { ModuleIdentities } from './hub/module-identities.ts';
import type { DesiredModule } from './hub/registration.ts';
import type { Provisioning } from './provisioning.ts';
import type { SavedDevice, SavedModule } from './state.ts';

/** The parts that the operations use. */
export interface OperationParts {
  readonly pendingOperations: PendingOperationFiles;
  /** The provisioning in force. */
  readonly provisioning: () => Provisioning;
  readonly modules: ModuleIdentities;
}

type Nothing = Readonly<Record<string, never>>;

/** All operations on identities. The id `` is the device. */
export interface IdentityOperations {
  readonly provision: OperationKind<Nothing, SavedDevice>;
  readonly reprovision: OperationKind<Nothing, SavedDevice>;
  readonly create: OperationKind<DesiredModule, SavedModule>;
  readonly remove: OperationKind<Pick<DesiredModule, 'adopt'>, void>;
}

/** Creates the operations on identities; each pending one is saved in a file. */
export function identityOperations({
  pendingOperations,
  provisioning,
  modules,
}: OperationParts): IdentityOperations {
  const persistedAs = <Args>(verb: string) => ({
    verb,
    persist: (id: string, args: Args) => pendingOperations.save({ id, verb, args }),
    remove: (id: string) => pendingOperations.delete(id),
  });
  return {
    provision: {
      ...persistedAs<Nothing>('Provision'),
      run: (operation) => provisioning().provision({ again: false }, operation),
    },
    reprovision: {
      ...persistedAs<Nothing>('Reprovision'),
      run: (operation) => provisioning().provision({ again: true }, operation),
    },
    create: {
      ...persistedAs<DesiredModule>('CreateModuleIdentity'),
      run: (operation) => modules.create(moduleIdOf(operation), operation.args, operation),
    },
    remove: {
      ...persistedAs<Pick<DesiredModule, 'adopt'>>('DeleteModuleIdentity'),
      run: (operation) => modules.delete(moduleIdOf(operation), operation.args, operation),
    },
  };
}

/** Resumes the pending operations of the previous run. */
export function resumeOperations(
  operations: Operations,
  kinds: IdentityOperations,
  { saved, log }: { readonly saved: readonly PendingOperation[]; readonly log: Log },
): void {
  const { provision, reprovision, create, remove } = kinds;
  for (const { id, verb, args } of saved) {
    if (id === '' && verb === provision.verb) operations.resume(provision, id, {});
    else if (id === '' && verb === reprovision.verb) operations.resume(reprovision, id, {});
    else if (verb === create.verb) operations.resume(create, id, parseDesiredModule(args));
    else if (verb === remove.verb)
      operations.resume(remove, id, { adopt: parseDesiredModule(args).adopt });
    else log.error('pending operation unknown', { id, operation: verb });
  }
}

/** Parses the arguments of a pending operation on a module identity. */
export function parseDesiredModule(args: unknown): DesiredModule {
  const members = new Map(Object.entries(typeof args === 'object' && args !== null ? args : {}));
  const managedBy: unknown = members.get('managedBy');
  const adopt = members.get('adopt') === true;
  return { managedBy: typeof managedBy === 'string' ? managedBy : undefined, adopt };
}

function moduleIdOf({ id }: { readonly id: string }): ModuleId {
  return parseModuleId(id);
}
