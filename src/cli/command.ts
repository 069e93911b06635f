import type { Bus } from '../dbus/bus.ts';

/** The environment of a command. */
export interface CommandContext {
  /** Connects to the system bus on first use. */
  readonly bus: () => Promise<Bus>;
  readonly positionals: readonly string[];
  /** Options by name, without their dashes; a flag is `true`. */
  readonly options: Readonly<Record<string, string | boolean | undefined>>;
  readonly print: (text: string) => void;
}

/** An option of a verb. */
export interface CommandOption {
  readonly type: 'string' | 'boolean';
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
} as const;
