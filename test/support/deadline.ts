import { setTimeout as sleep } from 'node:timers/promises';

/** What is waited for; a function says it when it did not come, with what was there instead. */
export type What = string | (() => string);

/** The value of a promise, or a failure that says what was waited for. */
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

/** Waits until something is so, looking every few milliseconds. */
export async function until(
  timeoutMs: number,
  what: What,
  so: () => boolean | Promise<boolean>,
): Promise<void> {
  let isLate = false;
  const look = async (): Promise<void> => {
    while (!isLate && !(await so())) await sleep(5);
  };
  try {
    await deadline(timeoutMs, look(), what);
  } finally {
    isLate = true;
  }
}
