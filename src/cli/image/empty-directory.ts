import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { ServiceError } from '../../errors.ts';
import type { HeldFile } from '../apply/held-file.ts';
import { holdState } from '../apply/held-state.ts';

const block = Buffer.alloc(64 << 10);
/** The unit of `Stats.blocks`. */
const blockBytes = 512;

/** The number of files and directories in the state directory of the user with this uid. It fails as `holdState`. */
export function countFiles(path: string, uid: number | undefined): number {
  using top = holdState(path, uid);
  return top === undefined ? 0 : count(top);
}

/** The number of files and directories below a directory. */
export function count(directory: HeldFile): number {
  let found = 0;
  for (const child of directory.children())
    found += child.stats.isDirectory() ? 1 + count(child) : 1;
  return found;
}

/**
 * Removes all that is in the state directory of the user with this uid. Files are overwritten first: a copy of the disk
 * has its free blocks, too. No link is followed, and a file that has other names is left under those. Fails as
 * `holdState`, and when anything is left.
 */
export function emptyDirectory(path: string, uid: number | undefined): void {
  using top = holdState(path, uid);
  if (top === undefined) return;
  empty(top);
  const left = top.names().length;
  if (left > 0) throw new ServiceError('Failed', `${path} is not empty: ${left} files are left`);
}

function empty(directory: HeldFile): void {
  for (const child of directory.children()) removeWhole(directory, child);
}

/** Removes a file of a directory, or a directory with all that is in it, as `emptyDirectory`. */
export function removeWhole(directory: HeldFile, child: HeldFile): void {
  if (child.stats.isDirectory()) empty(child);
  if (child.stats.isFile() && child.stats.nlink === 1) overwrite(child);
  directory.remove(child);
}

/** Overwrites a file with zeros. Its holes are left: filling them could take more than the disk has. */
export function overwrite({ location, stats }: HeldFile): void {
  const size = Math.min(stats.size, stats.blocks * blockBytes);
  const file = openSync(location, 'r+');
  try {
    for (let at = 0; at < size; at += block.length) {
      writeSync(file, block, 0, Math.min(block.length, size - at), at);
    }
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
