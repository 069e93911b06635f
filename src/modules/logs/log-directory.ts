import { createHash } from 'node:crypto';
import { chmod, lstat, mkdir, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ServiceError, systemCode } from '../../errors.ts';

/** Users can connect to a socket in it whose name they know, and cannot list the names. */
const mode = 0o711;

/** The directories of a service. */
export interface Directories {
  readonly runtimeDir?: string | undefined;
  readonly stateDir: string;
}

/**
 * The directory of sockets that logs are read from: the one that systemd has made; else one below /run, where the
 * service may make it, or else below the directory for temporary files. Sockets of a process before this one are removed from it.
 */
export async function openLogDirectory(
  { runtimeDir, stateDir }: Directories,
  places: readonly string[] = ['/run', tmpdir()],
): Promise<string> {
  if (runtimeDir !== undefined) return cleared(runtimeDir);
  const name = `iotedge-modules-${createHash('sha256').update(stateDir).digest('hex').slice(0, 8)}`;
  const failures: unknown[] = [];
  for (const place of places) {
    try {
      return await cleared(join(place, name));
    } catch (error) {
      failures.push(error);
    }
  }
  const text = `no directory for sockets can be made in ${places.join(', ')}`;
  throw new ServiceError('Unavailable', text, { cause: failures[0] });
}

/** Throws for a directory that another user could change. */
async function cleared(directory: string): Promise<string> {
  await mkdir(directory, { mode }).catch((error: unknown) => {
    if (systemCode(error) !== 'EEXIST') throw error;
  });
  const stats = await lstat(directory);
  if (!stats.isDirectory() || stats.uid !== process.geteuid?.()) {
    throw new ServiceError('Unavailable', `${directory} is not a directory of this service`);
  }
  await chmod(directory, mode);
  const names = await readdir(directory);
  const left = names.filter((name) => /^[0-9a-f]{32}\.sock$/.test(name));
  await Promise.all(left.map((name) => rm(join(directory, name), { force: true })));
  return directory;
}
