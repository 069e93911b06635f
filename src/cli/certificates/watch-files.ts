/** The files of watches: a file of another author is neither written over nor removed. */
import {
  lstatSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { ServiceError, systemCode } from '../../errors.ts';
import type { CertificateId } from '../../ids.ts';
import {
  reloadOf,
  type Watch,
  type WatchUnits,
  watchHeader,
  watchName,
  watchPrefix,
  watchTypes,
} from './watch-units.ts';

/** NotFound unless there is a directory for the units. */
export function assertUnitDirectory(directory: string): void {
  const found = statSync(directory, { throwIfNoEntry: false });
  if (found?.isDirectory() === true) return;
  throw new ServiceError('NotFound', `there is no directory ${directory} for the units`);
}

/** Writes the files that differ; AlreadyExists for one that has another author. Returns what was written. */
export function writeWatch({ files }: WatchUnits, directory: string): readonly string[] {
  const written: string[] = [];
  for (const [file, text] of files) {
    const path = join(directory, file);
    const present = contentOf(path);
    if (present === text) continue;
    if (present?.startsWith(watchHeader) === false) {
      throw new ServiceError('AlreadyExists', `${path} is another author's, or masks the unit`);
    }
    replaceFile(path, text, join(directory, `.${file}.new`));
    written.push(path);
  }
  return written;
}

function replaceFile(path: string, text: string, temporary: string): void {
  try {
    rmSync(temporary, { force: true });
    writeFileSync(temporary, text, { flag: 'wx', mode: 0o644 });
    renameSync(temporary, path);
  } catch (error) {
    const reason = systemCode(error);
    if (reason === undefined) throw error;
    throw new ServiceError('Failed', `${path} could not be written (${reason})`, { cause: error });
  }
}

/** The servers that are reloaded for a certificate, by the files of their watches. */
export function watchedServers(id: CertificateId, directory: string): readonly string[] {
  const servers = readdirSync(directory).flatMap((file) => {
    if (!file.startsWith(watchPrefix)) return [];
    const reload = reloadOf(id, contentOf(join(directory, file)) ?? '');
    // a copy under another name is an administrator's
    return reload !== undefined && unitsOf(id, reload).includes(file) ? [reload] : [];
  });
  return [...new Set(servers)].sort();
}

/**
 * The units of a watch that have a file. NotFound when there is none, Failed when one is not what
 * `certificates watch` has written for this certificate and this server.
 */
export function presentUnits(
  { id, reload }: Pick<Watch, 'id' | 'reload'>,
  directory: string,
): readonly string[] {
  const present = unitsOf(id, reload).filter((unit) => {
    const path = join(directory, unit);
    const text = contentOf(path);
    if (text === undefined || reloadOf(id, text) === reload) return text !== undefined;
    const problem = `${path} is another author's, or masks the unit: nothing is removed`;
    throw new ServiceError('Failed', problem);
  });
  if (present.length > 0) return present;
  throw new ServiceError('NotFound', `no watch on "${id}" reloads ${reload}`);
}

function unitsOf(id: CertificateId, reload: string): readonly string[] {
  return watchTypes.map((type) => `${watchName(id, reload)}.${type}`);
}

/** Removes the files of units. */
export function removeUnits(units: readonly string[], directory: string): void {
  for (const unit of units) rmSync(join(directory, unit), { force: true });
}

/** The content of a file; undefined when there is none, `` for anything but a file. */
function contentOf(path: string): string | undefined {
  try {
    return lstatSync(path).isFile() ? readFileSync(path, 'utf8') : '';
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
