const line = /^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/;

/** Nothing ran, which is a failure. */
export const failure = { passed: 0, failed: 1, skipped: 0 };

/** The counts that the last line of an output is; undefined where it is none. */
export function parseCounts(output) {
  const match = line.exec(output.trimEnd().split('\n').at(-1) ?? '');
  if (match === null) return undefined;
  const [passed, failed, skipped] = match.slice(1).map((text) => Number(text ?? 0));
  return { passed, failed, skipped };
}

/** The counts of a command that ended: one failure where it ended without, or badly in spite of them. */
export function countsOf({ code, output }) {
  const counts = parseCounts(output);
  if (counts === undefined || counts.passed === 0) return failure;
  return code === 0 || counts.failed > 0 ? counts : { ...counts, failed: 1 };
}

export function sumOf(results) {
  const sum = (key) => results.reduce((total, counts) => total + counts[key], 0);
  return { passed: sum('passed'), failed: sum('failed'), skipped: sum('skipped') };
}

/** The last line of a run. */
export function formatCounts({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}

/** Prints the last line and makes it the exit code; a run in which nothing passed has failed. */
export function finish(counts) {
  console.log(`\n${formatCounts(counts)}`);
  if (counts.failed > 0 || counts.passed === 0) process.exitCode = 1;
}
