/** One line of the table: what was measured against which floor of the same run, and what is wanted of it. */
export interface Result {
  readonly what: string;
  readonly measured: string;
  readonly floor: string;
  readonly ratio?: number;
  readonly wanted?: string;
}

/** The value that a share of the values is below. */
export function quantile(values: readonly number[], share: number): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length * share)] ?? Number.NaN;
}

/** The middle value. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}
