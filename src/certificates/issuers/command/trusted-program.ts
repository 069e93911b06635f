import type { Stats } from 'node:fs';
import * as nodeDisk from 'node:fs/promises';
import { dirname } from 'node:path';
import { ServiceError } from '../../../errors.ts';

const writeOfOthers = 0o022;
const execute = 0o111;

/** The look-ups of the file system. */
export type Lookups = Pick<typeof nodeDisk, 'lstat'>;

/**
 * Throws Unavailable unless a program can be run and only root can replace it: it and every directory above it are
 * root's, no other user may write to them, and none is a link.
 *
 * The directories are checked from the top, so what was found below one cannot be replaced later except by root; between
 * this check and the execution that race alone remains. Executing an open descriptor would not end it: the kernel hands
 * the interpreter of a script a path below /proc, which needs that descriptor in the script, too.
 */
export async function requireTrustedProgram(
  path: string,
  { lstat }: Lookups = nodeDisk,
): Promise<void> {
  for (const one of downTo(path)) {
    const stats = await lstat(one).catch((error: unknown) => {
      throw new ServiceError('Unavailable', `${path} cannot be run: ${one} is not found`, {
        cause: error,
      });
    });
    const problem = problemOf(stats, { isProgram: one === path });
    if (problem === undefined) continue;
    throw new ServiceError('Unavailable', `${path} is not run: ${one} ${problem}`);
  }
}

function problemOf(stats: Stats, { isProgram }: { readonly isProgram: boolean }) {
  if (stats.isSymbolicLink()) return 'is a link';
  if (stats.uid !== 0) return `belongs to uid ${stats.uid}, not to root`;
  if ((stats.mode & writeOfOthers) !== 0) return 'may be changed by others than root';
  if (!isProgram) return undefined;
  if (!stats.isFile()) return 'is no file';
  return (stats.mode & execute) === 0 ? 'is not executable' : undefined;
}

/** The path with all directories above it, from the top. */
function downTo(path: string): readonly string[] {
  const above = dirname(path);
  return above === path ? [path] : [...downTo(above), path];
}
