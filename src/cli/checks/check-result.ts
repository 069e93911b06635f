/** What a check has found, in the form in which `iotedge check -o json` reports its own. */
export interface CheckResult {
  readonly result: 'ok' | 'warning' | 'error';
  /** What is wrong and why. */
  readonly details: readonly string[];
  /** What to do about it. */
  readonly advice: readonly string[];
}

/** One check: what it looks for, as a sentence that is true when all is well. */
export interface Check extends CheckResult {
  readonly name: string;
}

/** A check that has found nothing wrong. */
export const allIsWell: CheckResult = { result: 'ok', details: [], advice: [] };
