import type { Command, CommandOption } from '../../cli/command.ts';
import { commonOptions } from '../../cli/help.ts';

/** What the manual and the completions say about a verb of iotedgectl. */
export type Verb = Omit<Command, 'run'>;

/** An option as it is typed, and what it does. */
export interface Option {
  readonly name: string;
  readonly help: string;
  /** The name of its value; undefined for a flag. */
  readonly value: string | undefined;
  readonly short: string | undefined;
}

/** The options of every verb. */
export const sharedOptions: readonly Option[] = asTyped(commonOptions);

/** The options of a verb alone. */
export function ownOptionsOf({ options = {} }: Verb): readonly Option[] {
  return asTyped(options);
}

function asTyped(options: Readonly<Record<string, CommandOption>>): readonly Option[] {
  return Object.entries(options).map(([name, option]) => ({
    name: `--${name}`,
    help: option.help,
    value: option.type === 'string' ? (option.value ?? 'VALUE') : undefined,
    short: option.short === undefined ? undefined : `-${option.short}`,
  }));
}

/** The words that may follow the first words of a verb, each with its summary. */
export function nextWords(
  verbs: readonly Verb[],
  typed: readonly string[],
): ReadonlyMap<string, string> {
  const next = new Map<string, string>();
  for (const { words, summary } of verbs) {
    const own = words.split(' ');
    const word = own[typed.length];
    if (word === undefined || typed.some((one, at) => own[at] !== one)) continue;
    const isLast = own.length === typed.length + 1;
    next.set(
      word,
      isLast ? summary : `${next.has(word) ? `${next.get(word)}, ` : ''}${own[typed.length + 1]}`,
    );
  }
  return next;
}

/** The first words of verbs that are no verb: `keys`. */
export function groupsOf(verbs: readonly Verb[]): readonly string[] {
  const groups = verbs
    .map(({ words }) => words.split(' ').slice(0, -1).join(' '))
    .filter((group) => group !== '' && !verbs.some(({ words }) => words === group));
  return [...new Set(groups)];
}
