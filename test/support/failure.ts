import { BusError } from '../../src/dbus/bus.ts';
import { ServiceError } from '../../src/errors.ts';

/** The code of the ServiceError, or the name of the bus error, that a promise is rejected with. */
export async function failureOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof ServiceError) return error.code;
    if (error instanceof BusError) return error.errorName;
    return `not a ServiceError: ${String(error)}`;
  }
  return 'no failure';
}
