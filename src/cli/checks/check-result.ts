/** What a check has found, in the form in which `iotedge check -o json` reports its own. */
export interface CheckResult {
  readonly result: 'ok' | 'warning' | 'error';
  /** What is wrong and why. */
  readonly details: readonly string[];
  /** What to do about it. */
  readonly advice: readonly string[];
}

/** One check. */
export interface Check extends CheckResult {
  /** What is checked, a noun: a sentence beside `error` reads as what is wrong. */
  readonly name: string;
  /** What was found, in a few words. */
  readonly outcome: string;
}

/** The outcome of a check that has found as many problems. */
export function problemCount(count: number): string {
  return count === 1 ? '1 problem' : `${count} problems`;
}

/** A check that has found nothing wrong. */
export const allIsWell: CheckResult = { result: 'ok', details: [], advice: [] };
