import type { ErrorCode } from '../../errors.ts';
import type { ModuleView } from './module-view.ts';

/** The operations that commands begin. */
export type Verb = 'CreateModule' | 'UpdateModule' | 'Start' | 'Stop' | 'Restart' | 'DeleteModule';

/** What a module is after an operation. */
export const participles: Readonly<Record<Verb, string>> = {
  CreateModule: 'created',
  UpdateModule: 'updated',
  Start: 'started',
  Stop: 'stopped',
  Restart: 'restarted',
  DeleteModule: 'deleted',
};

/** A failed operation: the rest of a sentence that begins with the module. */
export interface OperationFailure {
  readonly code: ErrorCode;
  readonly text: string;
}

/** A module before and after an operation; undefined where there was none. */
export interface Transition {
  readonly before: ModuleView | undefined;
  readonly after: ModuleView | undefined;
}

/** Why an operation that has ended did not succeed, undefined when it did. */
export function failureOf(verb: Verb, { before, after }: Transition): OperationFailure | undefined {
  if (verb === 'DeleteModule') return after === undefined ? undefined : unfinished(verb, after);
  if (after === undefined) return { code: 'NotFound', text: 'was deleted meanwhile' };
  const isReached = reached[verb](after, before);
  return isReached ? undefined : unfinished(verb, after);
}

type Reached = (after: ModuleView, before: ModuleView | undefined) => boolean;

const hasStarted: Reached = (after, before) =>
  after.state === 'running' ||
  (after.startedAt !== (before?.startedAt ?? 0) && after.state === 'stopped');

const reached: Readonly<Record<Exclude<Verb, 'DeleteModule'>, Reached>> = {
  CreateModule: ({ state }) => state !== 'failed' && state !== 'unknown',
  // a problem may be a warning: one that failed leaves the configuration as it was
  UpdateModule: ({ lastError, configDigest }, before) =>
    lastError === '' || configDigest !== before?.configDigest,
  Start: hasStarted,
  Restart: hasStarted,
  Stop: ({ state }) => state === 'stopped' || state === 'created' || state === 'failed',
};

function unfinished(verb: Verb, module: ModuleView): OperationFailure {
  const { state, lastError } = module;
  const reason = lastError === '' ? `it is ${state}` : lastError;
  return {
    code: 'Failed',
    text: `was not ${participles[verb]}: ${reason}${advice(verb, module)}`,
  };
}

function advice(verb: Verb, { state, name, startedAt }: ModuleView): string {
  if (verb === 'UpdateModule') return `; the module is as it was, ${state}`;
  if (verb !== 'Start' && verb !== 'Restart') return '';
  const log = `'iotedgectl modules logs --tail 20 ${name}' shows what it wrote`;
  const again = state === 'backoff' ? '; the runtime tries again by itself' : '';
  if (startedAt === 0) return again; // it has not written anything
  if (state === 'backoff') return `${again}, ${log}`;
  return state === 'failed' ? `; ${log}` : '';
}
