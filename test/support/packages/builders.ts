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

/** Makes packages in a directory, as `npm run package` does; returns their paths. */
export async function makePackages(
  directory: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<readonly string[]> {
  const script = join(folder, 'package.mjs');
  const output = await outputOf(process.execPath, [script, '--out', directory, ...args], {
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
