/** The counts at the end of what a test file printed, as uvu writes them; all 0 where it ended before them. */
export function summaryOf(output) {
  const count = (label) => Number(new RegExp(`^ *${label}: +(\\d+)`, 'm').exec(output)?.[1] ?? 0);
  return { total: count('Total'), passed: count('Passed'), skipped: count('Skipped') };
}
