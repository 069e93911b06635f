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

/** One command line verb; it returns the exit code. */
export interface Command {
  /** The words that select it: `keys list`. */
  readonly words: string;
  readonly summary: string;
  /** Names of the positional arguments, all required. */
  readonly positionals?: readonly string[];
  /** Options besides `--json` and `--help`: type and one line of help. */
  readonly options?: Readonly<
    Record<string, { readonly type: 'string' | 'boolean'; readonly help: string }>
  >;
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
