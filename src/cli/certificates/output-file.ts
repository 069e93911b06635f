import { writeFile } from 'node:fs/promises';
import { ServiceError, systemCode } from '../../errors.ts';
import { type CommandContext, textOption } from '../command.ts';

/** The option of a verb whose result is a file. */
export const outputOption = {
  output: {
    type: 'string',
    short: 'o',
    value: 'FILE',
    help: 'into this file, which must not exist, in place of the standard output',
  },
} as const;

/** Writes the result of a verb to the standard output or into a new file; AlreadyExists when there is such a file. */
export async function writeOutput(
  context: CommandContext,
  data: Uint8Array,
  mode = 0o644,
): Promise<void> {
  const file = textOption(context, 'output') ?? '-';
  if (file === '-') return writeStandardOutput(data);
  try {
    await writeFile(file, data, { flag: 'wx', mode });
  } catch (error) {
    const code = systemCode(error);
    if (code === 'EEXIST') throw new ServiceError('AlreadyExists', `there is a file ${file}`);
    throw new ServiceError('Failed', `${file} cannot be written (${code ?? 'unknown failure'})`);
  }
}

async function writeStandardOutput(data: Uint8Array): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    process.stdout.write(data, (error) => (error instanceof Error ? reject(error) : resolve()));
  });
}
