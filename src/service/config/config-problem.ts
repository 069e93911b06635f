import { quoted, shown, withoutSecrets } from '../../quoted.ts';

/** One problem of the configuration, with its position; its texts never contain a secret. */
export interface Problem {
  readonly file: string;
  /** From 1; 1 when the problem is the file itself. */
  readonly line: number;
  readonly column: number;
  /** The setting: `agent.name`, `trust_bundle[0]`, or `` for the whole. */
  readonly path: string;
  readonly message: string;
  /** The name that was probably meant. */
  readonly suggestion?: string;
  /** The check was not possible: this process's user has no access. */
  readonly denied?: true;
}

/** A position in a file. */
export interface Position {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** Keys and indexes from the root of the configuration to a setting. */
export type SettingPath = readonly (string | number)[];

/** The configuration is invalid. Holds all problems; the process exits with 78. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(problems.map(formatProblem).join('\n'));
    this.problems = problems.map((problem) => ({
      ...problem,
      message: withoutSecrets(problem.message),
    }));
  }
}

/** `keys.yaml:3:1: unknown key "lgo_level", did you mean "log_level"?`. */
export function formatProblem(problem: Problem): string {
  const { file, line, column, message, suggestion } = problem;
  const hint = suggestion === undefined ? '' : `, did you mean ${quoted(suggestion)}?`;
  return withoutSecrets(`${file}:${line}:${column}: ${message}${hint}`);
}

/** The path as a user writes it; a key that may hold a secret is shown only as far as it holds none. */
export function formatPath(path: SettingPath): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else text += text === '' ? shown(step) : `.${shown(step)}`;
  }
  return text;
}

/** The candidate with the smallest edit distance, undefined when even that one has little in common with the text. */
export function nearest(text: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(text.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(text, candidate, bestDistance);
    if (distance < bestDistance && distance < candidate.length) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Insertions, deletions, replacements and swaps of neighbours that change one text into the other, up to `limit`. */
function editDistance(from: string, to: string, limit: number): number {
  if (Math.abs(from.length - to.length) >= limit) return limit;
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const same = from[row - 1] === to[column - 1];
      let cost = Math.min(
        at(previous, column) + 1,
        at(current, column - 1) + 1,
        at(previous, column - 1) + (same ? 0 : 1),
      );
      const swapped = from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      if (row > 1 && column > 1 && swapped)
        cost = Math.min(cost, at(beforePrevious, column - 2) + 1);
      current.push(cost);
    }
    beforePrevious = previous;
    previous = current;
  }
  return at(previous, to.length);
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? Number.POSITIVE_INFINITY;
}
