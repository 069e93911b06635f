import type { Bus } from '../dbus/bus.ts';

/** The environment of a command. */
export interface CommandContext {
  /** Connects to the system bus on first use. */
  readonly bus: () => Promise<Bus>;
  readonly positionals: readonly string[];
  /** Options by name, without their dashes; a flag is `true`. */
  readonly options: Readonly<Record<string, OptionValue>>;
  readonly print: (text: string) => void;
  /** Prints a line that is not the result: progress, a warning. */
  readonly note: (text: string) => void;
}

/** The value of an option: a flag is `true`, one that may be repeated is a list. */
export type OptionValue = string | boolean | readonly (string | boolean)[] | undefined;

/** An option of a verb. */
export interface CommandOption {
  readonly type: 'string' | 'boolean';
  /** Whether it may be given more than once. */
  readonly multiple?: boolean;
  /** The letter for `-f`. */
  readonly short?: string;
  /** What its value is called in the help. */
  readonly value?: string;
  /** One line. */
  readonly help: string;
}

/** A command line that says something that does not exist. */
export class UsageError extends Error {}

/** One command line verb; it returns the exit code. */
export interface Command {
  /** The words that select it: `keys list`. */
  readonly words: string;
  readonly summary: string;
  /** What the user should know before running it, in the help of this verb only. */
  readonly about?: string;
  /** Names of the positional arguments, all required. */
  readonly positionals?: readonly string[];
  /** The name of further arguments, of which there may be any number. */
  readonly more?: string;
  /** Options besides `--json` and `--help`. */
  readonly options?: Readonly<Record<string, CommandOption>>;
  run(context: CommandContext): Promise<number>;
}

/** The text of an option; undefined when it is not given. */
export function textOption(
  { options }: Pick<CommandContext, 'options'>,
  name: string,
): string | undefined {
  const value = options[name];
  return typeof value === 'string' ? value : undefined;
}

/** The texts of an option that may be repeated, in the order of the command line. */
export function textsOption(
  { options }: Pick<CommandContext, 'options'>,
  name: string,
): readonly string[] {
  const value = options[name];
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
}

/** Exit codes, part of the command line's contract. */
export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  notAuthorized: 3,
  unavailable: 4,
  timedOut: 5,
  degraded: 6,
  configuration: 78,
  interrupted: 130,
} as const;
