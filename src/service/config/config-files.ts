import { createHash } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { type FileHandle, lstat, open, readdir, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { systemCode } from '../../errors.ts';
import type { Problem } from './config-problem.ts';
import type { ConfigNode } from './yaml.ts';

/** A file that was read, with the permissions that decide who else can access it. */
export interface SourceFile {
  readonly path: string;
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** The files of a configuration: their names, contents and problems. */
export interface ConfigFiles {
  readonly sources: readonly SourceFile[];
  /** One node for each file that is not empty, in order of precedence. */
  readonly documents: readonly ConfigNode[];
  readonly problems: readonly Problem[];
  /**
   * SHA-256 of all files, in hexadecimal: of each its path below the directory, a NUL, its size in decimal, a NUL, and its
   * bytes. Show it only to users who may read the files: with it, a short PIN in a file can be guessed.
   */
  readonly digest: string;
}

interface ReadFile {
  readonly text: string;
  readonly bytes: Buffer;
  readonly source: SourceFile;
}

const mending = 'iotedgectl config apply mends its owner and mode';
const maxFileBytes = 4 * 1024 * 1024;

/** Reads `<dir>/<service>.yaml` and the drop-ins. A missing file counts as empty. */
export async function readConfigFiles(dir: string, service: string): Promise<ConfigFiles> {
  const sources: SourceFile[] = [];
  const documents: ConfigNode[] = [];
  const problems: Problem[] = [];
  const hash = createHash('sha256');
  const paths = [
    join(dir, `${service}.yaml`),
    ...(await dropIns(join(dir, `${service}.d`), problems)),
  ];
  for (const path of paths) {
    const read = await readText(path).catch((error: unknown) => {
      problems.push(unreadable(path, error));
    });
    if (read === undefined) continue;
    sources.push(read.source);
    hash.update(`${relative(dir, path)}\0${read.bytes.length}\0`).update(read.bytes);
    // loaded lazily: a service without configuration starts without the parser
    const { parseYaml } = await import('./yaml.ts');
    const parsed = parseYaml(read.text, path);
    problems.push(...parsed.problems);
    if (parsed.node === undefined) continue;
    if (parsed.node.kind === 'map') documents.push(parsed.node);
    else
      problems.push({ ...parsed.node.at, path: '', message: 'the file must be a map of settings' });
  }
  return { sources, documents, problems, digest: hash.digest('hex') };
}

async function dropIns(dir: string, problems: Problem[]): Promise<readonly string[]> {
  try {
    const names = await readdir(dir);
    const shown = names.filter((name) => name.endsWith('.yaml') && !name.startsWith('.'));
    return shown.sort().map((name) => join(dir, name));
  } catch (error) {
    if (!isAbsent(error)) problems.push(unreadable(dir, error));
    return [];
  }
}

async function readText(path: string): Promise<ReadFile | undefined> {
  const file = await openIfThere(path);
  if (file === undefined) return undefined;
  try {
    const stats = await file.stat();
    const { mode, uid, gid, size } = stats;
    if (await isNothing(stats)) return undefined;
    if (!stats.isFile()) throw new Error('it is not a regular file');
    if (size > maxFileBytes) throw new RangeError('the file is too large');
    const bytes = await file.readFile();
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return { text, bytes, source: { path, mode: mode & 0o7777, uid, gid } };
  } finally {
    await file.close();
  }
}

/** A file is disabled by a link to `/dev/null`. */
async function isNothing(stats: Stats): Promise<boolean> {
  return stats.isCharacterDevice() && stats.rdev === (await stat('/dev/null')).rdev;
}

/** Undefined when the file does not exist. A dangling link is an error: a file was expected. */
async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    // opening a pipe would block
    return await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (!isAbsent(error)) throw error;
    if (await isLink(path)) throw new Error('it is a symbolic link to nothing');
    return undefined;
  }
}

async function isLink(path: string): Promise<boolean> {
  return lstat(path).then(
    (stats) => stats.isSymbolicLink(),
    () => false,
  );
}

function unreadable(file: string, error: unknown): Problem {
  const notText = error instanceof TypeError;
  const reason = notText
    ? 'it is not UTF-8'
    : error instanceof Error
      ? error.message
      : String(error);
  const code = systemCode(error);
  const isDenied = code === 'EACCES' || code === 'EPERM';
  return {
    file,
    line: 1,
    column: 1,
    path: '',
    message: `cannot be read: ${reason}${isDenied ? `: ${mending}` : ''}`,
    ...(isDenied && { denied: true }),
  };
}

function isAbsent(error: unknown): boolean {
  return systemCode(error) === 'ENOENT';
}
