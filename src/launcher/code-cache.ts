/**
 * The code that V8 has made of a bundle, kept between starts. V8 itself checks neither the text nor the code: it runs
 * the code of another text of equal length, and a flipped bit can make it do anything. So a cache begins with a digest
 * of the bundle, the Node that made it and the code, and is used only when its file and directory are writable by root
 * and the owner of the bundle alone.
 */
import { createHash, hash } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readFileSync,
  statSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { type Bundle, wrapper } from './bundle.ts';

const digestBytes = 32;

/** The file of the cache of a bundle. */
export function cachePathOf(bundlePath: string): string {
  return bundlePath.replace(/\.cjs$/, '.cache');
}

/** Identifies the running Node: a distribution may rebuild a version, with another V8. */
export function thisNode(program = process.execPath): string {
  const { size, mtimeMs } = statSync(program);
  return [process.version, process.arch, size, mtimeMs].join(' ');
}

/** The content of a cache: the code, which belongs to one bundle and one Node, after its digest. */
export function seal(code: Buffer, source: Buffer, node = thisNode()): Buffer {
  return Buffer.concat([digestOf(code, source, node), code]);
}

/** The code of a cache; undefined unless it is complete, unchanged, and made of this bundle by this Node. */
export function unseal(sealed: Buffer, source: Buffer, node = thisNode()): Buffer | undefined {
  if (sealed.length <= digestBytes) return undefined;
  const code = sealed.subarray(digestBytes);
  const isIntact = digestOf(code, source, node).equals(sealed.subarray(0, digestBytes));
  return isIntact ? code : undefined;
}

function digestOf(code: Buffer, source: Buffer, node: string): Buffer {
  const made = JSON.stringify([hash('sha256', source), node, wrapper]);
  return createHash('sha256').update(`${made}\n`).update(code).digest();
}

/** The code for a bundle that is to be run; undefined, whatever is wrong with its cache, when there is none to use. */
export function cachedCode(bundle: Bundle): Buffer | undefined {
  try {
    const sealed = readTrusted(cachePathOf(bundle.path), bundle.owner);
    return sealed && unseal(sealed, bundle.source);
  } catch {
    return undefined;
  }
}

/** The content of a regular file; undefined when it or its directory is a link, or others may write there. */
function readTrusted(path: string, owner: number): Buffer | undefined {
  const directory = lstatSync(dirname(path));
  if (!directory.isDirectory() || !isTrusted(directory, owner)) return undefined;
  // checked once it is open; without O_NONBLOCK, opening a FIFO would wait
  const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const found = fstatSync(file);
    return found.isFile() && isTrusted(found, owner) ? readFileSync(file) : undefined;
  } finally {
    closeSync(file);
  }
}

const writableByOthers = 0o022;

function isTrusted({ uid, mode }: { uid: number; mode: number }, owner: number): boolean {
  return (uid === 0 || uid === owner) && (mode & writableByOthers) === 0;
}
