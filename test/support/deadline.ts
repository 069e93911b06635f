import { setTimeout as sleep } from 'node:timers/promises';
import { runInNewContext } from 'node:vm';

/** The awaited event, for the message; a function can add the state at the deadline. */
export type What = string | (() => string);

/** A signal that aborts when a test has taken too long. */
export const soon = (): AbortSignal => AbortSignal.timeout(30_000);

/** The value of a promise; rejects at the deadline, naming what was waited for. */
export async function deadline<T>(timeoutMs: number, promise: Promise<T>, what: What): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const named = typeof what === 'string' ? what : what();
      reject(new Error(`waited ${timeoutMs} ms for ${named}`));
    }, timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits until a condition holds, polling it every few milliseconds. */
export async function until(
  timeoutMs: number,
  what: What,
  holds: () => boolean | Promise<boolean>,
): Promise<void> {
  await untilFound(timeoutMs, what, async () => ((await holds()) ? true : undefined));
}

/** Polls like `until`, and resolves with the first value that is not undefined. */
export async function untilFound<T>(
  timeoutMs: number,
  what: What,
  find: () => Promise<T | undefined>,
): Promise<T> {
  let isLate = false;
  const poll = async (): Promise<T> => {
    for (;;) {
      const found = await find();
      if (found !== undefined) return found;
      if (isLate) throw new Error('abandoned at the deadline');
      await sleep(5);
    }
  };
  try {
    return await deadline(timeoutMs, poll(), what);
  } finally {
    isLate = true;
  }
}

/** How many timers of this process are pending; those that keep no process alive are not counted. */
export function pendingTimers(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
}

/** What a function returns; throws when it computes for longer than any input may take, and ends it. */
export function boundedWork<T>(compute: () => T): T {
  return runInNewContext('compute()', { compute }, { timeout: 10_000 }) as T;
}
