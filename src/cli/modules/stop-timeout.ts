import { type CommandContext, textOption, UsageError } from '../command.ts';

const longest = 0xffff_ffff;

/** The option of verbs that stop a module. */
export const stopTimeoutOption = {
  timeout: {
    type: 'string',
    short: 't',
    value: 'SECONDS',
    help: 'how long it has to stop before it is killed; by default what its engine grants',
  },
} as const;

/** The argument of a method that stops a module. */
export function stopTimeout(context: Pick<CommandContext, 'options'>): { timeout_s?: number } {
  const text = textOption(context, 'timeout');
  if (text === undefined) return {};
  if (/^\d{1,10}$/.test(text) && Number(text) <= longest) return { timeout_s: Number(text) };
  throw new UsageError('--timeout takes whole seconds, 0 to kill it at once');
}
