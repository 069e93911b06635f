/** Failures that are no verdict on the instance of an update: they pass by themselves. */
import { type ErrorCode, isServiceError, ServiceError } from '../../../errors.ts';
import { DamagedInstance, DiskFull, EngineUnreachable, PullFailure } from '../module-type.ts';

/** An instance cannot be prepared for now, such as while its identity is unavailable. */
export class NotPrepared extends ServiceError {}

/** Failures of a preparation that depend on the configuration alone. */
const lasting: ReadonlySet<ErrorCode> = new Set(['InvalidArgs', 'NotSupported', 'Cancelled']);

/** The failure of a preparation: that of another service passes, that of the configuration does not. */
export function preparationFailure(error: unknown): unknown {
  if (!isServiceError(error) || lasting.has(error.code)) return error;
  return new NotPrepared(error.code, error.message, { cause: error });
}

/** Whether a failure passes by itself: the engine or another service is unavailable. */
export function isTransient(error: unknown): boolean {
  return error instanceof NotPrepared || error instanceof EngineUnreachable;
}

/** Whether a failure is none of the configuration, which may be tried again at once: the cause is elsewhere. */
export function isExcused(error: unknown): boolean {
  const isElsewhere =
    error instanceof PullFailure || error instanceof DamagedInstance || error instanceof DiskFull;
  return isTransient(error) || (isElsewhere && error.code === 'Unavailable');
}
