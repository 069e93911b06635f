import type { LogEntry } from '../../../supervisor/module-type.ts';
import type { Batches } from './positions.ts';

/** How long the engine may take to send what was printed before the time. */
const graceMs = 500;
/** Of a timer. */
const longestMs = 2 ** 31 - 1;

/**
 * The entries of a followed log until a time, in nanoseconds: the engine itself ends such a log at the next line, which may
 * never come. `end` aborts the requests that the entries come from.
 */
export async function* endingAt(
  entries: Batches,
  until: bigint,
  end: AbortController,
): AsyncGenerator<readonly LogEntry[]> {
  let timer: NodeJS.Timeout | undefined;
  const wait = (): void => {
    const leftMs = Number(until / 1_000_000n) + graceMs - Date.now();
    if (leftMs <= 0) end.abort();
    else timer = setTimeout(wait, Math.min(leftMs, longestMs));
  };
  wait();
  try {
    yield* entries;
  } catch (error) {
    const isOver = end.signal.aborted;
    if (!isOver) throw error;
  } finally {
    clearTimeout(timer);
  }
}
