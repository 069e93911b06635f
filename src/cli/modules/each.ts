import { describeError } from '../../errors.ts';
import { type CommandContext, exitCodes } from '../command.ts';
import { exitCodeOf } from '../exit-code.ts';
import { formatJson, printable } from '../output.ts';
import type { Outcome } from './operation.ts';

/** Does something with one module after the other, whatever becomes of the others; returns the first exit code but 0. */
export async function each(
  names: readonly string[],
  { note, options, print }: CommandContext,
  act: (name: string) => Promise<Outcome>,
): Promise<number> {
  const done: Record<string, unknown> = {};
  let code: number = exitCodes.ok;
  for (const name of names) {
    const outcome = await act(name).catch((error: unknown) => {
      note(`iotedgectl: ${printable(describeError(error))}`);
      return { code: exitCodeOf(error), module: undefined };
    });
    if (outcome.code === exitCodes.ok) done[name] = outcome.module?.whole ?? {};
    code ||= outcome.code;
    if (outcome.code === exitCodes.interrupted) break;
  }
  if (options['json'] === true) print(formatJson(done));
  return code;
}
