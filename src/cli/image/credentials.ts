/** Files of the credentials that the units load: PINs of tokens. */
import { readdirSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { ServiceError, systemCode } from '../../errors.ts';
import { holdTrusted, refuseUntrusted } from '../apply/held-file.ts';
import type { Properties } from '../systemd/manager.ts';
import { overwrite } from './empty-directory.ts';

/** Where systemd looks for a credential without a directory, but for those in memory. */
export const credentialStores: readonly string[] = ['/etc', '/usr/local/lib', '/usr/lib'].flatMap(
  (directory) => [join(directory, 'credstore'), join(directory, 'credstore.encrypted')],
);
/** A masked unit does not show what it loads, and a drop-in may be gone. */
const ownNames = /^iotedge-/;

/** The names or paths in LoadCredential= and LoadCredentialEncrypted= of a unit. */
export function loadedCredentials(properties: Properties): readonly string[] {
  const lines = ['LoadCredential', 'LoadCredentialEncrypted'].flatMap((name) => {
    const found = properties.get(name);
    return Array.isArray(found) ? (found as readonly unknown[]) : [];
  });
  return lines.flatMap((line) => {
    const path: unknown = Array.isArray(line) ? line[1] : undefined;
    return typeof path === 'string' ? [path] : [];
  });
}

/** The files of these credentials, and those in a store that have a name of ours; the targets of links, too. */
export function credentialFiles(
  loaded: readonly string[],
  stores = credentialStores,
): readonly string[] {
  const stored = stores.flatMap((store) => [
    ...loaded.filter((path) => !isAbsolute(path)).map((name) => join(store, name)),
    ...namesIn(store)
      .filter((name) => ownNames.test(name))
      .map((name) => join(store, name)),
  ]);
  const files = [...loaded.filter(isAbsolute), ...stored].flatMap(filesAt);
  return [...new Set(files.flatMap((path) => [path, realpathSync(path)]))].toSorted();
}

/** Overwrites and removes a file of a credential. AccessDenied where others than root could replace it meanwhile. */
export function removeCredential(path: string): void {
  using directory = holdTrusted(dirname(path));
  if (directory === undefined) return;
  refuseUntrusted(directory, path);
  using file = directory.child(Buffer.from(basename(path)));
  if (file === undefined) return;
  if (file.stats.isFile() && file.stats.nlink > 1) {
    throw new ServiceError('NotSupported', `${path} has another name: remove both yourself`);
  }
  if (file.stats.isFile()) overwrite(file);
  directory.remove(file);
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return [];
    throw error;
  }
}

/** A credential is a file, or all files of a directory; one from a socket is not on the disk. */
function filesAt(path: string): readonly string[] {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats?.isDirectory() !== true) return stats?.isFile() === true ? [path] : [];
  const entries = readdirSync(path, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((file) => join(file.parentPath, file.name));
}
