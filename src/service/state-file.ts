/**
 * Files that hold state. A file is either the old or the new one, whole, whenever the power fails: it is
 * written beside its place, flushed, renamed, and the directory flushed. What cannot be understood is
 * reported as damaged and left where it is.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import {
  chmod,
  type FileHandle,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  stat,
  unlink,
} from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { ServiceError, systemCode } from '../errors.ts';
import { isId } from '../ids.ts';
import { quoted } from '../quoted.ts';

const UNWRITABLE = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EIO']);
const TEMPORARY = /^\..*\.[0-9a-f]{12}\.tmp$/;

/** A state file that is empty, truncated or not what it should be. It is never replaced or dropped. */
export class DamagedFile extends Error {
  override readonly name = 'DamagedFile';
  readonly path: string;

  constructor(path: string, reason: string, options?: ErrorOptions) {
    super(`${path} is damaged: ${reason}`, options);
    this.path = path;
  }
}

/** Makes a directory for state, its parents too, that only this process's user can enter. */
export async function makeStateDirectory(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode: 0o700 });
  if (first !== undefined) await flushParents(resolve(path), resolve(first));
  const { mode, uid } = await stat(path);
  if (uid !== process.geteuid?.()) throw new Error(`${path} belongs to another user, uid ${uid}`);
  if ((mode & 0o077) !== 0) await chmod(path, 0o700);
}

/** Replaces the file as one step that survives a crash; mode 0600. Unavailable when the disk is full or read-only. */
export async function writeStateFile(path: string, content: Uint8Array | string): Promise<void> {
  const temporary = join(
    dirname(path),
    `.${basename(path).slice(0, 200)}.${randomBytes(6).toString('hex')}.tmp`,
  );
  try {
    await writeNew(temporary, content);
    await rename(temporary, path);
    await flushDirectory(dirname(path));
  } catch (error) {
    await rm(temporary, { force: true });
    throw unwritable(path, error);
  }
}

/** The content of the file, or undefined when there is none. */
export async function readStateFile(path: string): Promise<Buffer | undefined> {
  return orAbsent(async () => {
    await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    return await file.readFile();
  });
}

/**
 * The content of a JSON file as `parse` understands it, or undefined when there is none. Throws
 * `DamagedFile` when it is empty, not JSON, or when `parse` throws.
 */
export async function readStateJson<T>(
  path: string,
  parse: (value: unknown) => T,
): Promise<T | undefined> {
  const bytes = await readStateFile(path);
  if (bytes === undefined) return undefined;
  if (bytes.length === 0) throw new DamagedFile(path, 'it is empty');
  try {
    return parse(JSON.parse(bytes.toString('utf8')));
  } catch (error) {
    // The message of JSON.parse quotes the file, which may hold a secret.
    if (error instanceof SyntaxError) throw new DamagedFile(path, 'it is not JSON');
    const reason = error instanceof Error ? error.message : String(error);
    throw new DamagedFile(path, reason, { cause: error });
  }
}

/** Removes the file durably. One that is not there is no failure. */
export async function deleteStateFile(path: string): Promise<void> {
  const gone = await orAbsent(async () => {
    await unlink(path);
    return true;
  });
  if (gone) await flushDirectory(dirname(path));
}

/** Overwrites the file with zeros, flushes, and removes it: for files that hold a key. */
export async function destroyStateFile(path: string): Promise<void> {
  await orAbsent(async () => {
    await using file = await openToOverwrite(path);
    await overwrite(file);
  });
  await deleteStateFile(path);
}

/** Replaces the file as `writeStateFile` does, then overwrites what it held: for files that hold a key. */
export async function replaceStateFile(path: string, content: Uint8Array): Promise<void> {
  // What counts is the new file: the old one is absent, or overwritten as far as that can be done.
  await using before = await openToOverwrite(path).catch(() => undefined);
  await writeStateFile(path, content);
  if (before !== undefined) await overwrite(before).catch(() => undefined);
}

/** Removes what interrupted writes left in a directory, overwritten because it may have been a key. */
export async function removeLeftovers(directory: string): Promise<void> {
  const names = (await orAbsent(() => readdir(directory))) ?? [];
  for (const name of names) {
    if (TEMPORARY.test(name)) await destroyStateFile(join(directory, name));
  }
}

// An id uses none of the characters on the right, so the mapping is reversible and keeps the length.
const FILE_CHARACTERS = new Map([
  ['/', '+'],
  ['$', '='],
  [':', ','],
]);
const ID_CHARACTERS = new Map([...FILE_CHARACTERS].map(([id, file]) => [file, id]));

/** The name of the file that belongs to an id: one path segment, never hidden, 128 bytes plus the extension. */
export function fileNameOf(id: string, extension: `.${string}`): string {
  if (!isId(id)) throw new TypeError(`${quoted(id)} is not an id`);
  return id.replace(/[/$:]/g, (character) => FILE_CHARACTERS.get(character) ?? '') + extension;
}

/** The id that a file name stands for, or undefined when no id has this name. */
export function idOfFileName(name: string, extension: `.${string}`): string | undefined {
  if (!name.endsWith(extension)) return undefined;
  const stem = name.slice(0, -extension.length);
  if (/[/$:]/.test(stem)) return undefined;
  const id = stem.replace(/[+=,]/g, (character) => ID_CHARACTERS.get(character) ?? '');
  return isId(id) ? id : undefined;
}

async function writeNew(path: string, content: Uint8Array | string): Promise<void> {
  await using file = await open(path, 'wx', 0o600);
  await file.writeFile(content);
  await file.sync();
}

/** Each directory that was made is an entry of the one around it. */
async function flushParents(path: string, first: string): Promise<void> {
  await flushDirectory(dirname(path));
  if (path !== first) await flushParents(dirname(path), first);
}

/** What an administrator must put right, and the caller should know of. */
function unwritable(path: string, error: unknown): unknown {
  const code = systemCode(error);
  if (code === undefined || !UNWRITABLE.has(code)) return error;
  return new ServiceError('Unavailable', `${dirname(path)} cannot be written: ${code}`, {
    cause: error,
  });
}

async function openToOverwrite(path: string): Promise<FileHandle> {
  return await open(path, constants.O_WRONLY | constants.O_NOFOLLOW);
}

async function overwrite(file: FileHandle): Promise<void> {
  const { size } = await file.stat();
  await file.writeFile(Buffer.alloc(size));
  await file.sync();
}

async function flushDirectory(path: string): Promise<void> {
  await using directory: FileHandle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  await directory.sync();
}

async function orAbsent<T>(action: () => Promise<T>): Promise<T | undefined> {
  try {
    return await action();
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
