import { join } from 'node:path';
import { type CommandOptions, outputOf } from '../command.ts';

/** The directory of the checkout. */
export const checkout = join(import.meta.dirname, '../../../..');
const folder = 'src/build/package';

interface PackageOptions extends CommandOptions {
  /** A program that runs it, with its arguments. */
  readonly before?: readonly string[];
  /** Where that program finds the checkout. */
  readonly place?: string;
}

/** Installs the build into a directory, as `npm run install-system` does. */
export async function installSystem(
  directory: string,
  args: readonly string[] = [],
  options: CommandOptions = {},
): Promise<void> {
  const script = join(checkout, folder, 'install-system.mjs');
  await outputOf(process.execPath, [script, '--destdir', directory, ...args], options);
}

/** Makes packages in a directory, as `npm run package` does; returns their paths. */
export async function makePackages(
  directory: string,
  args: readonly string[],
  { before = [], place = checkout, ...options }: PackageOptions = {},
): Promise<readonly string[]> {
  const script = join(place, folder, 'package.mjs');
  const command = [process.execPath, script, '--out', directory, ...args];
  const [program = '', ...words] = [...before, ...command];
  const output = await outputOf(program, words, {
    timeoutMs: 300_000,
    ...options,
    // a copy of the checkout has no commit
    env: { SOURCE_DATE_EPOCH: '1790000000', ...options.env },
  });
  return output
    .toString()
    .trim()
    .split('\n')
    .map((line) => line.replace(/ \(.*$/, ''));
}
