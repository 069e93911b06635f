import type {
  Fields,
  MethodDefinition,
  PropertyDefinition,
  TextArguments,
} from '../dbus/definition.ts';
import { healths } from './enumerations.ts';

/** Properties of every manager. */
export const managerProperties = {
  Version: { type: 's', emits: 'const', doc: 'Version of the service.' },
  Health: {
    type: 's',
    values: healths,
    emits: 'true',
    doc: 'Whether all is well; when degraded, LastError states why.',
  },
  LastError: { type: 's', emits: 'true', doc: 'The current problems, `` when there are none.' },
} as const satisfies Readonly<Record<string, PropertyDefinition>>;

/** The public state of a service in one call, for tools. */
export const describe = {
  doc: 'Everything public that the service knows, as JSON: {service, version, health, last_error, properties, configuration, sandbox, objects}. `configuration` has `loaded_at`, in microseconds since the epoch, and for root `digest`: SHA-256 of the files in force, each as its path below the directory, NUL, its size, NUL, its bytes. `sandbox` states what of its unit the process finds in force.',
  reads: true,
  out: { json: 's' },
  authorize: 'public',
} as const satisfies MethodDefinition;

/** The option of long operations: with `wait` false they reply once the operation is accepted and persisted. */
export const waitOption = { wait: 'b' } as const satisfies Fields;

/** The operation in progress for an id, as resolved for Cancel: a caller that may begin it may cancel it. */
export function operationInProgress({ operation }: TextArguments): string {
  if (operation === undefined) throw new TypeError('the operation in progress is not resolved');
  return operation;
}

/** Errors of every long operation. */
export const longErrors = { Cancelled: 'it was cancelled' } as const;

/** The operation in progress for an object. */
export const operationProperty = {
  type: 's',
  emits: 'true',
  doc: 'The method of the long operation that is in progress, `` when none is.',
} as const satisfies PropertyDefinition;
