import type { CommandContext } from '../command.ts';
import { printable } from '../output.ts';

/** What a verb that changes the machine does, step by step: each is printed, and with `--dry-run` only that. */
export class Steps {
  readonly isDryRun: boolean;
  readonly #done: string[] = [];
  readonly #print: (text: string) => void;

  constructor({ options, print }: Pick<CommandContext, 'options' | 'print'>) {
    this.isDryRun = options['dry-run'] === true;
    const isJson = options['json'] === true;
    this.#print = (text) => {
      if (!isJson) print(printable(text));
    };
  }

  /** What was done, or would be. */
  get all(): readonly string[] {
    return this.#done;
  }

  /** Takes a step and prints it. */
  async take(text: string, act: () => unknown): Promise<void> {
    if (!this.isDryRun) await act();
    this.#done.push(text);
    this.#print(this.isDryRun ? `would be done: ${text}` : text);
  }
}

/** The option that only shows the steps. */
export const dryRunOption = {
  'dry-run': { type: 'boolean', help: 'show what would be done, change nothing' },
} as const;
