import { lstat, realpath } from 'node:fs/promises';
import { posix } from 'node:path';

/**
 * Why a host path may not be mounted, undefined when it may: it lies below an allowed directory, goes
 * through no symbolic link, and nobody but root and this service could put one there later.
 */
export async function hostPathReason(
  path: string,
  allowed: readonly string[],
): Promise<string | undefined> {
  const shown = JSON.stringify(path);
  const normal = posix.normalize(path).replace(/(.)\/$/, '$1');
  const root = allowed.find((one) => normal === one || normal.startsWith(`${one}/`));
  if (root === undefined) return `host path ${shown} is not below allowed_binds`;
  try {
    if ((await realpath(normal)) !== normal) {
      return `host path ${shown} goes through a symbolic link`;
    }
    for (let at = normal; at !== root; ) {
      at = posix.dirname(at);
      if (await isOpen(at)) return `host path ${shown} is in a directory that others may change`;
    }
    return undefined;
  } catch {
    // Not there, or not for us to see: the engine would make it, as root.
    return `host path ${shown} cannot be resolved`;
  }
}

/** Whether somebody may rename what is in a directory who could not mount anything by themselves. */
async function isOpen(directory: string): Promise<boolean> {
  const { uid, mode } = await lstat(directory);
  return (uid !== 0 && uid !== process.geteuid?.()) || (mode & 0o022) !== 0;
}
