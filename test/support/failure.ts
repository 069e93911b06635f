import { BusError } from '../../src/dbus/bus.ts';
import { ServiceError } from '../../src/errors.ts';
import { until } from './deadline.ts';

export const noFailure = 'no failure';

/** The code of a ServiceError, or the name of a bus error. */
export function codeIn(error: unknown): string {
  if (error instanceof ServiceError) return error.code;
  if (error instanceof BusError) return error.errorName;
  return `not a ServiceError: ${String(error)}`;
}

/** The code of the ServiceError, or the name of the bus error, that a promise is rejected with. */
export async function failureOf(action: Promise<unknown> | (() => unknown)): Promise<string> {
  try {
    await (typeof action === 'function' ? action() : action);
  } catch (error) {
    return codeIn(error);
  }
  return noFailure;
}

/** The same for a function that throws. */
export function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return codeIn(error);
  }
  return noFailure;
}

/** The code and the message of an error: `NotFound: no key "a"`. */
export function messageIn(error: unknown): string {
  return `${codeIn(error)}: ${error instanceof Error ? error.message : ''}`;
}

/** The code and the message with which a promise is rejected. */
export async function messageOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(() => noFailure, messageIn);
}

/** Retries a call until it succeeds: a call that joins an attempt from before the repair still fails. */
export async function untilWorks(what: string, call: () => Promise<unknown>): Promise<void> {
  let failure = '';
  const works = async (): Promise<boolean> => {
    failure = await failureOf(call());
    return failure === noFailure;
  };
  await until(60_000, () => `${what} to work: ${failure}`, works);
}
