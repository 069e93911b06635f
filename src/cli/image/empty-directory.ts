import { closeSync, fsyncSync, openSync, rmdirSync, unlinkSync, writeSync } from 'node:fs';
import { type HeldFile, holdTrusted } from '../apply/held-file.ts';

const block = Buffer.alloc(64 << 10);

/** The number of files in a state directory and below; undefined when there is no such directory. */
export function countFiles(path: string): number | undefined {
  using top = holdTrusted(path);
  return top?.stats.isDirectory() === true ? count(top) : undefined;
}

function count(directory: HeldFile): number {
  let found = 0;
  for (const name of directory.names()) {
    using child = directory.child(name);
    found += child?.stats.isDirectory() === true ? count(child) : 1;
  }
  return found;
}

/**
 * Removes all that is in a state directory. Files are overwritten first: a copy of the disk has its free blocks, too. No
 * link is followed, and a file that has other names is left under those.
 */
export function emptyDirectory(path: string): void {
  using top = holdTrusted(path);
  if (top?.stats.isDirectory() === true) empty(top);
}

function empty(directory: HeldFile): void {
  for (const name of directory.names()) {
    using child = directory.child(name);
    if (child === undefined) continue;
    if (child.stats.isDirectory()) {
      empty(child);
      rmdirSync(`${directory.location}/${name}`);
      continue;
    }
    if (child.stats.isFile() && child.stats.nlink === 1) overwrite(child);
    unlinkSync(`${directory.location}/${name}`);
  }
}

function overwrite({ location, stats }: HeldFile): void {
  const file = openSync(location, 'r+');
  try {
    for (let at = 0; at < stats.size; at += block.length) {
      writeSync(file, block, 0, Math.min(block.length, stats.size - at), at);
    }
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
