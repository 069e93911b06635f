import { BusError } from '../../src/dbus/bus.ts';
import { ServiceError } from '../../src/errors.ts';
import { until } from './deadline.ts';

const noFailure = 'no failure';

function nameOf(error: unknown): string {
  if (error instanceof ServiceError) return error.code;
  if (error instanceof BusError) return error.errorName;
  return `not a ServiceError: ${String(error)}`;
}

/** The code of the ServiceError, or the name of the bus error, that a promise is rejected with. */
export async function failureOf(action: Promise<unknown> | (() => unknown)): Promise<string> {
  try {
    await (typeof action === 'function' ? action() : action);
  } catch (error) {
    return nameOf(error);
  }
  return noFailure;
}

/** The same of a function that throws at once. */
export function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return nameOf(error);
  }
  return noFailure;
}

/** Calls until it works: a call that joins an attempt which began before the repair still fails. */
export async function untilWorks(what: string, call: () => Promise<unknown>): Promise<void> {
  let failure = '';
  const works = async (): Promise<boolean> => {
    failure = await failureOf(call());
    return failure === noFailure;
  };
  await until(60_000, () => `${what} to work: ${failure}`, works);
}
