import { lstat } from 'node:fs/promises';
import { posix } from 'node:path';

/** The part of a file's status that is checked. */
export interface PathStatus {
  readonly dev: number;
  readonly ino: number;
  readonly uid: number;
  readonly mode: number;
  isDirectory(): boolean;
  isFile(): boolean;
  isSocket(): boolean;
  isSymbolicLink(): boolean;
}

/** The status of a path itself: a link is not followed. */
export type ReadStatus = (path: string) => Promise<PathStatus>;

/** The canonical spelling of a path, in which it is compared: as the engine cleans it. */
export function normalHostPath(path: string): string {
  return posix.normalize(path).replace(/(.)\/$/, '$1');
}

/** Whether a path lies below a directory, by their names. */
export function isBelow(path: string, directory: string): boolean {
  return path !== directory && path.startsWith(directory === '/' ? '/' : `${directory}/`);
}

/**
 * Why a host path that the configuration lists may not be mounted now, undefined when it may: every
 * directory above it belongs to root and only root may write to it, none of them is a symbolic link or one
 * of `writable`, which modules write to, and the path itself is a directory, a socket or a regular file.
 */
export async function hostPathReason(
  path: string,
  writable: readonly string[],
  readStatus: ReadStatus = lstat,
): Promise<string | undefined> {
  const shown = `host path ${JSON.stringify(path)}`;
  const over = writable.find((one) => isBelow(path, one));
  if (over !== undefined) return `${shown} lies below ${over}, which modules write to`;
  try {
    const places = await placesOf(writable, readStatus);
    for (const directory of directoriesAbove(path)) {
      const reason = directoryReason(await readStatus(directory), places);
      if (reason !== undefined) return `${shown}: ${directory} ${reason}`;
    }
    const status = await readStatus(path);
    if (status.isDirectory() || status.isFile() || status.isSocket()) return undefined;
    const what = status.isSymbolicLink() ? 'is a symbolic link' : 'is a special file';
    return `${shown} ${what}, not a directory, socket or regular file`;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    return `${shown} cannot be inspected: ${code}`;
  }
}

function directoryReason(status: PathStatus, places: ReadonlySet<string>): string | undefined {
  if (status.isSymbolicLink()) return 'is a symbolic link';
  if (!status.isDirectory()) return 'is not a directory';
  // with an access control list, the group bits are its mask
  if (status.uid !== 0 || (status.mode & 0o022) !== 0) {
    return 'must belong to root and be writable by root alone';
  }
  return places.has(placeOf(status)) ? 'is a directory that modules write to' : undefined;
}

function directoriesAbove(path: string): readonly string[] {
  const directories: string[] = [];
  for (let at = path; at !== '/'; ) {
    at = posix.dirname(at);
    directories.unshift(at);
  }
  return directories;
}

/** The same directory may be mounted under a second name, so comparing names is not enough. */
async function placesOf(
  paths: readonly string[],
  readStatus: ReadStatus,
): Promise<ReadonlySet<string>> {
  const places = paths.map((path) => readStatus(path).then(placeOf, () => undefined));
  return new Set((await Promise.all(places)).filter((place) => place !== undefined));
}

function placeOf({ dev, ino }: PathStatus): string {
  return `${dev}:${ino}`;
}
