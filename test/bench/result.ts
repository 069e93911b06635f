/** One line of the table: a measured value, its floor in the same run, and the goal. */
export interface Result {
  readonly what: string;
  readonly measured: string;
  readonly floor: string;
  readonly ratio?: number;
  readonly wanted?: string;
}

/** The quantile of the values at a share from 0 to 1. */
export function quantile(values: readonly number[], share: number): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length * share)] ?? Number.NaN;
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}
