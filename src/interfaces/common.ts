import type {
  Fields,
  MethodDefinition,
  PropertyDefinition,
  TextArguments,
} from '../dbus/definition.ts';
import { healths } from './words.ts';

/** What every manager says about itself. */
export const managerProperties = {
  Version: { type: 's', emits: 'const', doc: 'Version of the service.' },
  Health: {
    type: 's',
    values: healths,
    emits: 'true',
    doc: 'Whether all is well; when degraded, LastError says why.',
  },
  LastError: { type: 's', emits: 'true', doc: 'What is wrong at present, `` when nothing is.' },
} as const satisfies Readonly<Record<string, PropertyDefinition>>;

/** The whole service in one call, for tools. */
export const describe = {
  doc: 'Everything public that the service knows, as JSON: {service, version, health, objects}.',
  reads: true,
  out: { json: 's' },
  authorize: 'public',
} as const satisfies MethodDefinition;

/** Long operations: with `wait` false the reply comes when the operation is accepted and persisted. */
export const waitOption = { wait: 'b' } as const satisfies Fields;

/** The operation that is in progress for an id, as a service resolves it for Cancel: whoever may begin it may cancel it. */
export function operationInProgress({ operation }: TextArguments): string {
  if (operation === undefined) throw new TypeError('the operation in progress is not resolved');
  return operation;
}

/** What every long operation may fail with. */
export const longErrors = { Cancelled: 'it was cancelled' } as const;

/** What is being done for the subject of an object. */
export const operationProperty = {
  type: 's',
  emits: 'true',
  doc: 'The method of the long operation that is in progress, `` when none is.',
} as const satisfies PropertyDefinition;
