import { BusError } from '../dbus/bus.ts';
import { isServiceError } from '../errors.ts';
import { exitCodes, UsageError } from './command.ts';
import { InterruptedError } from './interrupt.ts';

/** The exit code of a command that failed. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return exitCodes.usage;
  if (error instanceof InterruptedError) return exitCodes.interrupted;
  if (isServiceError(error, 'AccessDenied')) return exitCodes.notAuthorized;
  if (isServiceError(error, 'InteractiveAuthorizationRequired')) return exitCodes.notAuthorized;
  if (!isServiceError(error, 'Unavailable')) return exitCodes.failed;
  return isLate(error.cause) ? exitCodes.timedOut : exitCodes.unavailable;
}

/** Whether the cause is an error of the bus, or of the client's own timeout, for a missing reply. */
function isLate(cause: unknown): boolean {
  return cause instanceof BusError && /\.(NoReply|Timeout|TimedOut)$/.test(cause.errorName);
}
