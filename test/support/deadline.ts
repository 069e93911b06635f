import { setTimeout as sleep } from 'node:timers/promises';

/** The value of a promise, or a failure that says what was waited for. */
export async function deadline<T>(
  timeoutMs: number,
  promise: Promise<T>,
  what: string,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${timeoutMs} ms for ${what}`)), timeoutMs);
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
  what: string,
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
