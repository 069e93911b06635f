import { statusOf } from './translate.ts';

/** Awaits a request to the engine; failures with these statuses are none. */
export async function ignoring(
  statuses: readonly number[],
  request: Promise<unknown>,
): Promise<void> {
  try {
    await request;
  } catch (error) {
    const status = statusOf(error);
    if (status === undefined || !statuses.includes(status)) throw error;
  }
}

/** Awaits a request to the engine; undefined when the object is missing. */
export async function unlessMissing<T>(request: Promise<T>): Promise<T | undefined> {
  try {
    return await request;
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw error;
  }
}
