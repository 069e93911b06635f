import { on } from 'node:events';
import { type FSWatcher, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { systemCode } from '../../../../errors.ts';

/** A server sets owner and mode of its socket after it has created it, and one may fail again and again. */
const settleMs = 500;

/**
 * Resolves when a file, or a directory above it that is missing, is created, removed or changed from this call on. Rejects
 * when that cannot be watched, and when the signal aborts.
 */
export async function fileChanged(path: string, signal: AbortSignal): Promise<void> {
  const { watcher, name } = watchNearest(path);
  try {
    const changes: AsyncIterable<readonly unknown[]> = on(watcher, 'change', { signal });
    for await (const [, changed] of changes) if (changed === name) break;
  } finally {
    watcher.close();
  }
  await setTimeout(settleMs, undefined, { ref: false, signal });
}

/** Watches the directory of the file, or the nearest one above that exists, for an entry of this name. */
function watchNearest(path: string): { readonly watcher: FSWatcher; readonly name: string } {
  const directory = dirname(path);
  try {
    return { watcher: watch(directory, { persistent: false }), name: basename(path) };
  } catch (error) {
    if (systemCode(error) !== 'ENOENT' || directory === path) throw error;
    return watchNearest(directory);
  }
}
