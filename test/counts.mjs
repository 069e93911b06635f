const line = /^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/;

/** Nothing ran, which is a failure. */
export const failure = { passed: 0, failed: 1, skipped: 0 };

function parse(text) {
  const match = line.exec(text);
  if (match === null) return undefined;
  const [passed, failed, skipped] = match.slice(1).map((count) => Number(count ?? 0));
  return { passed, failed, skipped };
}

/**
 * The counts that a command ended with. One failure where it ended well without, and at least one where it ended
 * badly: npm has something to say after the counts then.
 */
export function countsOf({ code, output }) {
  const lines = output.trimEnd().split('\n');
  const counts = parse(
    (code === 0 ? lines.at(-1) : lines.findLast((text) => line.test(text))) ?? '',
  );
  if (counts === undefined || counts.passed === 0) return failure;
  return code === 0 ? counts : { ...counts, failed: Math.max(1, counts.failed) };
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
