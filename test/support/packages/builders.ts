import { join } from 'node:path';
import { type CommandOptions, outputOf } from '../command.ts';

const folder = join(import.meta.dirname, '../../../../src/build/package');

/** Installs the build into a directory, as `npm run install-system` does. */
export async function installSystem(
  directory: string,
  args: readonly string[] = [],
  options: CommandOptions = {},
): Promise<void> {
  const script = join(folder, 'install-system.mjs');
  await outputOf(process.execPath, [script, '--destdir', directory, ...args], options);
}

/** Makes packages in a directory, as `npm run package` does; returns their paths. `before` is a program that runs it. */
export async function makePackages(
  directory: string,
  args: readonly string[],
  { before = [], ...options }: CommandOptions & { readonly before?: readonly string[] } = {},
): Promise<readonly string[]> {
  const script = join(folder, 'package.mjs');
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
