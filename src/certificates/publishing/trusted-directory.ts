import type * as nodeDisk from 'node:fs/promises';
import { dirname } from 'node:path';
import { ServiceError } from '../../errors.ts';

const writeOfOthers = 0o022;
const sticky = 0o1000;
const enterOfOthers = 0o001;

type Lookups = Pick<typeof nodeDisk, 'lstat' | 'realpath'>;

/**
 * Throws Unavailable unless a directory is a real one of this process's user that all may enter, and that no other user
 * but root can replace.
 */
export async function requireTrusted(path: string, disk: Lookups): Promise<void> {
  const own = process.geteuid?.();
  const stats = await disk.lstat(path);
  if (!stats.isDirectory()) throw unusable(path, 'is a link or no directory');
  if (stats.uid !== own) {
    const mending = 'systemd-tmpfiles --create iotedge.conf makes the default one';
    throw unusable(
      path,
      `belongs to uid ${stats.uid}, this service runs as uid ${own}: ${mending}`,
    );
  }
  const parent = dirname(path);
  const above = new Set([...upwards(parent), ...upwards(await disk.realpath(parent))]);
  for (const one of above) {
    const { mode, uid, isLink } = await factsOf(one, disk);
    const isShared = !isLink && (mode & writeOfOthers) !== 0 && (mode & sticky) === 0;
    if ((uid !== 0 && uid !== own) || isShared) {
      throw unusable(path, `could be replaced by other users, who may change ${one}`);
    }
    if (!isLink && (mode & enterOfOthers) === 0) {
      throw unusable(path, `cannot be reached by other programs: ${one} is closed to them`);
    }
  }
}

async function factsOf(path: string, disk: Lookups) {
  const stats = await disk.lstat(path);
  return { mode: stats.mode, uid: stats.uid, isLink: stats.isSymbolicLink() };
}

function upwards(path: string): readonly string[] {
  const above = dirname(path);
  return above === path ? [path] : [path, ...upwards(above)];
}

function unusable(path: string, why: string): ServiceError {
  return new ServiceError('Unavailable', `${path} ${why}`);
}
