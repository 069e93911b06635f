const firstMs = 5000;
const maxMs = 10 * 60_000;
const maxAskedMs = 60 * 60_000;

/** No wait is longer. */
export const maxBackoffMs = maxAskedMs * 1.2;

/**
 * How long to wait before the next attempt: doubling from 5 s to 10 min with up to a fifth of jitter, so that
 * a fleet does not come back at once; never sooner than the cloud asked for.
 */
export function backoffMs(
  failures: number,
  retryAfterMs: number | undefined,
  random: () => number = Math.random,
): number {
  const grown = Math.min(firstMs * 2 ** Math.max(0, failures - 1), maxMs);
  const asked = Math.min(retryAfterMs ?? 0, maxAskedMs);
  return Math.round(Math.max(grown, asked) * (1 + random() / 5));
}
