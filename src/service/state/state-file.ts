/**
 * Files that hold state. After a power failure a file is either the old or the new one, complete: it is
 * written to a temporary file, flushed, renamed, and the directory flushed. A file that cannot be parsed is
 * reported as damaged and left in place. A file that may be intact but is unusable here, because of its owner or
 * because a newer version wrote it, is never replaced or removed.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import {
  chmod,
  type FileHandle,
  lstat,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  stat,
  unlink,
} from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { describeError, ServiceError, systemCode } from '../../errors.ts';

const unwritableCodes = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EIO', 'EACCES', 'EPERM']);
/** The process has run out of a resource, whichever file it accesses. */
const exhaustedCodes = new Set(['EMFILE', 'ENFILE', 'ENOMEM']);
/** What an administrator does about a wrong owner or mode. */
const mending = 'iotedgectl config apply mends it';
/** The version that files are written in, part of each of them, unless their form has had further ones. */
const firstVersion = 1;
const temporaryName = /^\..*\.[0-9a-f]{12}\.tmp$/;
/** The temporary files that this process is writing: not leftovers. */
const beingWritten = new Set<string>();

/** A state file that is empty, truncated or malformed. It is never replaced or dropped. */
export class DamagedFile extends Error {
  override readonly name = 'DamagedFile';
  readonly path: string;

  constructor(path: string, reason: string, options?: ErrorOptions & { readonly what?: string }) {
    super(`${path} ${options?.what ?? 'is damaged'}: ${reason}`, options);
    this.path = path;
  }
}

/**
 * A state file or directory that may be intact and is unusable here: a backup restored as another user, or the
 * file of a newer version. It is reported like a damaged one, and never replaced or removed.
 */
export class UnusableFile extends DamagedFile {}

/** An `UnusableFile` that a newer version of the program wrote. */
export class NewerFile extends UnusableFile {}

/** Throws Unavailable for a file that must not be replaced or removed; ignores any other failure. */
export function refuseUnusable(failure: unknown): void {
  if (!(failure instanceof UnusableFile)) return;
  throw new ServiceError('Unavailable', failure.message, { cause: failure });
}

/**
 * Creates a directory for state, with its parents, that only this process's user can enter; `UnusableFile` when it
 * belongs to another user.
 */
export async function makeStateDirectory(path: string): Promise<void> {
  try {
    const first = await mkdir(path, { recursive: true, mode: 0o700 });
    if (first !== undefined) await flushParents(resolve(path), resolve(first));
  } catch (error) {
    throw await unreadable(path, error);
  }
  const { mode, uid } = await stat(path);
  if (uid !== process.geteuid?.()) {
    const what = `belongs to another user, uid ${uid}`;
    throw new UnusableFile(path, `this service runs as uid ${process.geteuid?.()}: ${mending}`, {
      what,
    });
  }
  if ((mode & 0o077) !== 0) await chmod(path, 0o700);
}

/** A directory of state files after opening. */
export interface StateDirectory {
  /** The names of its files; empty when it is unusable. */
  readonly names: readonly string[];
  /** Why it is unusable, undefined when it is usable. */
  readonly failure: UnusableFile | undefined;
}

/** Creates a directory for state when it is missing, and removes the leftovers of interrupted writes. */
export async function openStateDirectory(path: string): Promise<StateDirectory> {
  try {
    await makeStateDirectory(path);
    return { names: await removeLeftovers(path), failure: undefined };
  } catch (error) {
    const failure = error instanceof UnusableFile ? error : await unreadable(path, error);
    if (failure instanceof UnusableFile) return { names: [], failure };
    throw failure;
  }
}

/** Whether a file that is unusable here is replaced or removed, at the caller's explicit request. */
export interface StateChange {
  readonly evenUnreadable?: boolean;
  readonly evenNewer?: boolean;
  /** The latest version of files of this form; a file of a later one is unusable here. */
  readonly knownVersion?: number | undefined;
}

/**
 * Replaces the file atomically and durably; mode 0600. Unavailable when the disk is full or read-only, and
 * when the existing file may be intact and is unusable here.
 */
export async function writeStateFile(
  path: string,
  content: Uint8Array | string,
  change: StateChange = {},
): Promise<void> {
  await refuseToTouch(path, change);
  const temporary = join(
    dirname(path),
    `.${basename(path).slice(0, 200)}.${randomBytes(6).toString('hex')}.tmp`,
  );
  beingWritten.add(resolve(temporary));
  try {
    await writeNew(temporary, content);
    await rename(temporary, path);
    await flushDirectory(dirname(path));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw await unwritable(path, error);
  } finally {
    beingWritten.delete(resolve(temporary));
  }
}

/** As `writeStateFile`, for JSON with a version. */
export async function writeStateJson(
  path: string,
  fields: object,
  change?: StateChange,
): Promise<void> {
  await writeStateFile(path, formatStateJson(fields), change);
}

/** The fields of a JSON state file, with its version. */
export function withVersion(fields: object, version = firstVersion): object {
  return { version, ...fields };
}

/** The text of a JSON file of state. */
export function formatStateJson(fields: object, version?: number): string {
  return `${JSON.stringify(withVersion(fields, version))}\n`;
}

/** The content of the file, or undefined when it is missing. `UnusableFile` when reading is not permitted. */
export async function readStateFile(path: string): Promise<Buffer | undefined> {
  try {
    return await orAbsent(async () => {
      await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
      return await file.readFile();
    });
  } catch (error) {
    throw await unreadable(path, error);
  }
}

/** Throws `UnusableFile` for the version of a newer program. A file without a version predates all versions. */
export function checkVersion(path: string, version: unknown, knownVersion = firstVersion): void {
  if (typeof version !== 'number' || version <= knownVersion) return;
  const what = 'was written by a newer version';
  const reason = `its form is ${version}, and ${knownVersion} is known here: install that version again`;
  throw new NewerFile(path, reason, { what });
}

/** As `checkVersion`, for a file that always has a version: `DamagedFile` for any unknown one. */
export function requireVersion(path: string, version: unknown, knownVersion = firstVersion): void {
  checkVersion(path, version, knownVersion);
  if (Number.isInteger(version) && Number(version) >= firstVersion) return;
  throw new DamagedFile(path, `its version is ${JSON.stringify(version)}`);
}

/** The parser of a JSON file. */
export interface StateJsonForm<T> {
  readonly parse: (value: unknown) => T;
  /** Whether files written before versions were introduced may exist. */
  readonly mayLackVersion: boolean;
  readonly knownVersion?: number | undefined;
}

/**
 * The content of a JSON file, parsed by `parse`. Throws `DamagedFile` when it is empty, not JSON, or when
 * `parse` throws, `UnusableFile` when a newer version wrote it.
 */
export function parseStateJson<T>(
  path: string,
  content: Buffer,
  { parse, mayLackVersion, knownVersion }: StateJsonForm<T>,
): T {
  if (content.length === 0) throw new DamagedFile(path, 'it is empty');
  try {
    const value: unknown = JSON.parse(content.toString('utf8'));
    const check = mayLackVersion ? checkVersion : requireVersion;
    check(path, versionOf(value), knownVersion);
    return parse(value);
  } catch (error) {
    if (error instanceof DamagedFile) throw error;
    // the message of JSON.parse quotes the file, which may hold a secret
    if (error instanceof SyntaxError) throw new DamagedFile(path, 'it is not JSON');
    const reason = error instanceof Error ? error.message : String(error);
    throw new DamagedFile(path, reason, { cause: error });
  }
}

function versionOf(value: unknown): unknown {
  const isObject = typeof value === 'object' && value !== null;
  return isObject && 'version' in value ? value.version : undefined;
}

/**
 * As `parseStateJson`, for a file that may lack a version; undefined when it is missing. `UnusableFile` when reading is
 * not permitted.
 */
export async function readStateJson<T>(
  path: string,
  parse: (value: unknown) => T,
): Promise<T | undefined> {
  const content = await readStateFile(path);
  return content && parseStateJson(path, content, { parse, mayLackVersion: true });
}

/** Removes the file durably. A missing file is not an error; one that is unusable here is Unavailable, and stays. */
export async function deleteStateFile(path: string, change: StateChange = {}): Promise<void> {
  await refuseToTouch(path, change);
  await remove(path);
}

/** Overwrites the file with zeros, flushes, and removes it: for files that hold a key. */
export async function destroyStateFile(path: string): Promise<void> {
  await refuseToTouch(path, {});
  await destroy(path);
}

async function remove(path: string): Promise<void> {
  try {
    const gone = await orAbsent(async () => {
      await unlink(path);
      return true;
    });
    if (gone) await flushDirectory(dirname(path));
  } catch (error) {
    throw await unwritable(path, error);
  }
}

async function destroy(path: string): Promise<void> {
  try {
    await orAbsent(async () => {
      await using file = await openToOverwrite(path);
      await overwrite(file);
    });
  } catch (error) {
    throw await unwritable(path, error);
  }
  await remove(path);
}

/** Replaces the file as `writeStateFile` does, then overwrites the old content: for files that hold a key. */
export async function replaceStateFile(path: string, content: Uint8Array): Promise<void> {
  // only the new file must succeed: the old one is missing, or overwritten as far as possible
  await using before = await openToOverwrite(path).catch(() => undefined);
  await writeStateFile(path, content);
  if (before !== undefined) await overwrite(before).catch(() => undefined);
}

/**
 * Removes the leftovers of interrupted writes by previous processes, overwritten because they may contain a key.
 * Returns the names of the other files.
 */
export async function removeLeftovers(directory: string): Promise<readonly string[]> {
  const all = (await orAbsent(() => readdir(directory))) ?? [];
  const names = all.filter((name) => !temporaryName.test(name));
  for (const name of all.filter((one) => temporaryName.test(one))) {
    const path = join(directory, name);
    if (beingWritten.has(resolve(path))) continue;
    // a file of another user cannot be overwritten; the directory is usable all the same
    await destroy(path).catch(() => remove(path).catch(() => undefined));
  }
  return names;
}

async function writeNew(path: string, content: Uint8Array | string): Promise<void> {
  await using file = await open(path, 'wx', 0o600);
  await file.writeFile(content);
  await file.sync();
}

/** Each created directory is an entry of its parent. */
async function flushParents(path: string, first: string): Promise<void> {
  await flushDirectory(dirname(path));
  if (path !== first) await flushParents(dirname(path), first);
}

/** Unavailable when the file exists, may be intact, and is unusable here. */
async function refuseToTouch(
  path: string,
  { evenUnreadable = false, evenNewer = false, knownVersion }: StateChange,
): Promise<void> {
  let bytes: Buffer | undefined;
  try {
    bytes = await readStateFile(path);
    if (bytes !== undefined) checkVersion(path, versionIn(path, bytes), knownVersion);
  } catch (error) {
    if (!(error instanceof DamagedFile)) throw error;
    const isMeant = error instanceof NewerFile ? evenNewer : evenUnreadable;
    if (!isMeant) refuseUnusable(error);
  } finally {
    bytes?.fill(0);
  }
}

/** The version that a state file states. Of a key file only the first line becomes a string. */
function versionIn(path: string, bytes: Buffer): unknown {
  const end = bytes.indexOf('\n');
  const head = parsed(bytes.subarray(0, end < 0 ? bytes.length : end));
  const value = head ?? (path.endsWith('.key') ? undefined : parsed(bytes));
  return versionOf(value);
}

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined; // damaged, or not JSON
  }
}

/** The failure for a file that an administrator must repair, as an error that the caller may see. */
async function unwritable(path: string, error: unknown): Promise<unknown> {
  const code = systemCode(error);
  if (code === undefined || !unwritableCodes.has(code)) return error;
  const isRefused = code === 'EACCES' || code === 'EPERM';
  const why = isRefused ? `${code}: ${await ownerOf(path)}` : code;
  return new ServiceError('Unavailable', `${dirname(path)} cannot be written: ${why}`, {
    cause: error,
  });
}

/** A refusal of the system to read a file, as a failure that names the file. */
async function unreadable(path: string, error: unknown): Promise<unknown> {
  const code = systemCode(error);
  if (code === undefined || exhaustedCodes.has(code)) return error;
  const options = { cause: error, what: 'cannot be read' };
  if (code !== 'EACCES' && code !== 'EPERM') return new DamagedFile(path, code, options);
  return new UnusableFile(path, `${code}: ${await ownerOf(path)}`, options);
}

/** The owner of the file, or of the closest accessible directory above it, and the owner that it must have. */
export async function ownerOf(path: string, name = 'it'): Promise<string> {
  try {
    const { mode, uid } = await lstat(path);
    const found = `${name} belongs to uid ${uid} with mode ${(mode & 0o7777).toString(8).padStart(4, '0')}`;
    return `${found}, this service runs as uid ${process.geteuid?.()}: ${mending}`;
  } catch (error) {
    const parent = dirname(resolve(path));
    if (parent === path) return describeError(error);
    return await ownerOf(parent, parent);
  }
}

async function openToOverwrite(path: string): Promise<FileHandle> {
  return open(path, constants.O_WRONLY | constants.O_NOFOLLOW);
}

async function overwrite(file: FileHandle): Promise<void> {
  const { size } = await file.stat();
  await file.writeFile(Buffer.alloc(size));
  await file.sync();
}

/** Makes renames and removals in a directory durable. */
export async function flushDirectory(path: string): Promise<void> {
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
