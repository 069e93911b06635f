import { ServiceError } from '../errors.ts';
import { type CommandContext, UsageError } from './command.ts';

/** The option of a verb that asks before it removes something. */
export const yesOption = {
  yes: { type: 'boolean', help: 'do not ask; needed without a terminal' },
} as const;

/** Asks at the terminal for a yes, unless `--yes` is given; Cancelled for anything else. */
export async function confirm(
  { options }: Pick<CommandContext, 'options'>,
  question: string,
): Promise<void> {
  if (options['yes'] === true) return;
  if (!process.stdin.isTTY) throw new UsageError('there is no terminal to ask at: add --yes');
  const { createInterface } = await import('node:readline/promises'); // other verbs start without it
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    if ((await terminal.question(`${question} Type yes to go on: `)).trim() === 'yes') return;
  } finally {
    terminal.close();
  }
  throw new ServiceError('Cancelled', 'nothing was removed');
}
