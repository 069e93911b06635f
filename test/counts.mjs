/** The last line of a run of tests, or of mutants. */
const line = /^(\d+) (?:passed, (\d+) failed|killed, (\d+) survived)$/;
const skippedLine = /^(\d+) skipped$/;

/** The lines around the failures that the end of a run repeats. */
export const failuresBegin = 'failed files:';
export const failuresEnd = 'end of the failed files';

/** What the runs in this output repeated of their failures, without their indents. */
export function failuresOf(output) {
  const found = [];
  let isInside = false;
  for (const text of output.split('\n')) {
    if (text.endsWith(failuresEnd)) isInside = false;
    if (isInside) found.push(text.replace(/^(\| )+/, ''));
    if (text.endsWith(failuresBegin)) isInside = true;
  }
  return found.join('\n');
}

export const failure = { passed: 0, failed: 1, skipped: 0 };

/** The counts in this line, with the skipped ones of the line before. */
function parse(lines, at) {
  const match = line.exec(lines[at] ?? '');
  if (match === null) return undefined;
  const [passed, failed] = match
    .slice(1)
    .filter((digits) => digits !== undefined)
    .map(Number);
  return { passed, failed, skipped: Number(skippedLine.exec(lines[at - 1] ?? '')?.[1] ?? 0) };
}

/**
 * The counts at the end of the output of a command. One failure where a successful command printed none, and at least
 * one where the command failed: npm prints more after the counts then.
 */
export function countsOf({ code, output }) {
  const lines = output.trimEnd().split('\n');
  const last = lines.length - 1;
  const counts = parse(lines, code === 0 ? last : lines.findLastIndex((text) => line.test(text)));
  if (counts === undefined || counts.passed === 0) return failure;
  return code === 0 ? counts : { ...counts, failed: Math.max(1, counts.failed) };
}

export function sumOf(results) {
  const sum = (key) => results.reduce((total, counts) => total + counts[key], 0);
  return { passed: sum('passed'), failed: sum('failed'), skipped: sum('skipped') };
}

/** The last lines of a run: the skipped count comes first, so that the last line always has the same form. */
export function formatCounts({ passed, failed, skipped }) {
  const above = skipped > 0 ? `${skipped} skipped\n` : '';
  return `${above}${passed} passed, ${failed} failed`;
}

/** Prints the last lines and sets the exit code; a run in which nothing passed has failed. */
export function finish(counts) {
  console.log(`\n${formatCounts(counts)}`);
  if (counts.failed > 0 || counts.passed === 0) process.exitCode = 1;
}
