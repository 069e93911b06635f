import { BusError } from '../../src/dbus/bus.ts';
import { ServiceError } from '../../src/errors.ts';
import { until } from './deadline.ts';

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

/** Calls until it works: a call that joins an attempt which began before the repair still fails. */
export async function untilWorks(what: string, call: () => Promise<unknown>): Promise<void> {
  let failure = '';
  const works = async (): Promise<boolean> => {
    failure = await failureOf(call());
    return failure === 'no failure';
  };
  await until(60_000, () => `${what} to work: ${failure}`, works);
}
