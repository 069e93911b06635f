/** The counts in uvu's summary at the end of the output of a test file; all 0 where it is missing. */
export function summaryOf(output) {
  const count = (label) => Number(new RegExp(`^ *${label}: +(\\d+)`, 'm').exec(output)?.[1] ?? 0);
  return { total: count('Total'), passed: count('Passed'), skipped: count('Skipped') };
}
