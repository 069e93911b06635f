/** The number of concurrent calls in the measurements of throughput. */
export const several = 8;

/** A rate, and the latencies of the single calls in microseconds. */
export interface Pace {
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
}

/** A pace, and its cost for the server. */
export interface ServerPace extends Pace {
  /** CPU microseconds per call of the server and of its child processes. */
  readonly cpu: number;
}

/** Reads the output of the programs in C. */
export function parsePace(output: string): Pace {
  const [perSecond = Number.NaN, p50 = Number.NaN, p99 = Number.NaN] = output
    .split(' ')
    .map(Number);
  return { perSecond, p50, p99 };
}
