/**
 * Files of directories that other users can write, handled as root: each is opened below its directory without following
 * a link, and changed through its descriptor, so that nothing put in its place meanwhile is changed instead.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmdirSync,
  type Stats,
  unlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { ServiceError, systemCode } from '../../errors.ts';

/** Linux's O_PATH: neither a device nor a pipe notices that it is opened. */
const pathOnly = 0o10000000;
const maxLinks = 40;
/** Each directory on the way to a file is a descriptor. */
const maxDepth = 64;
const writeOfOthers = 0o022;
const sticky = 0o1000;

/** One file or directory, whatever its path names later. */
export class HeldFile implements Disposable {
  readonly path: string;
  readonly stats: Stats;
  readonly #name: Buffer;
  readonly #depth: number;
  readonly #descriptor: number;

  private constructor(open: Buffer, { path, name, depth }: Place) {
    this.path = path;
    this.#name = name;
    this.#depth = depth;
    this.#descriptor = openSync(open, pathOnly | constants.O_NOFOLLOW);
    this.stats = fstatSync(this.#descriptor);
  }

  /** The root directory. */
  static root(): HeldFile {
    const name = Buffer.from('/');
    return new HeldFile(name, { path: '/', name, depth: 0 });
  }

  /** A file of this directory, or a link itself; undefined when there is none of that name. */
  child(name: Buffer): HeldFile | undefined {
    const depth = this.#depth + 1;
    if (depth > maxDepth) {
      const problem = `${this.path} is deeper than ${maxDepth} directories: see what made it`;
      throw new ServiceError('NotSupported', problem);
    }
    try {
      return new HeldFile(this.#at(name), { path: join(this.path, name.toString()), name, depth });
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** The files of this directory, each held until the next. */
  *children(): Generator<HeldFile> {
    for (const name of this.names()) {
      using child = this.child(name);
      if (child !== undefined) yield child;
    }
  }

  /** The names in this directory, sorted. They need not be UTF-8. */
  names(): readonly Buffer[] {
    const names = readdirSync(this.location, { encoding: 'buffer' });
    return names.toSorted((left, right) => left.compare(right));
  }

  /** Removes a file of this directory, or an empty directory. */
  remove(child: HeldFile): void {
    const path = this.#at(child.#name);
    if (child.stats.isDirectory()) rmdirSync(path);
    else unlinkSync(path);
  }

  /** The target of a link in this directory. */
  targetOf(link: HeldFile): string {
    return readlinkSync(this.#at(link.#name), 'utf8');
  }

  setOwner(uid: number, gid: number): void {
    chownSync(this.location, uid, gid);
  }

  setMode(mode: number): void {
    chmodSync(this.location, mode);
  }

  /** A path of this very file for other calls, valid while it is held. */
  get location(): string {
    return `/proc/self/fd/${this.#descriptor}`;
  }

  #at(name: Buffer): Buffer {
    return Buffer.concat([Buffer.from(`${this.location}/`), name]);
  }

  [Symbol.dispose](): void {
    closeSync(this.#descriptor);
  }
}

interface Place {
  /** For messages: what is not UTF-8 in it is replaced. */
  readonly path: string;
  readonly name: Buffer;
  readonly depth: number;
}

/**
 * The file at a path, of which only root could change any part, links included; undefined when there is none. The file
 * itself may belong to any user. AccessDenied when another user could lead the path elsewhere.
 */
export function holdTrusted(path: string): HeldFile | undefined {
  let held = HeldFile.root();
  const left = partsOf(path);
  try {
    for (let links = 0; left.length > 0; ) {
      const name = left.shift() ?? '';
      if (name === '..') throw new ServiceError('NotSupported', `${path} leads through ".."`);
      refuseUntrusted(held, path);
      const child = held.child(Buffer.from(name));
      if (child === undefined) return undefined;
      const isLink = child.stats.isSymbolicLink();
      if (isLink && isShared(held) && child.stats.uid !== 0) {
        child[Symbol.dispose]();
        throw untrusted(held.path, path);
      }
      if (!isLink) {
        held[Symbol.dispose]();
        held = child;
        continue;
      }
      const target = held.targetOf(child);
      child[Symbol.dispose]();
      if (++links > maxLinks) throw new ServiceError('NotSupported', `${path} has too many links`);
      left.unshift(...partsOf(target));
      if (!target.startsWith('/')) continue;
      held[Symbol.dispose]();
      held = HeldFile.root();
    }
    const found = held;
    held = HeldFile.root();
    return found;
  } finally {
    held[Symbol.dispose]();
  }
}

function partsOf(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.');
}

/** In a sticky directory only root replaces what belongs to root. */
function isShared({ stats }: HeldFile): boolean {
  return (stats.mode & sticky) !== 0 && (stats.mode & writeOfOthers) !== 0;
}

/** AccessDenied when others than root can replace what is in a directory; `path` is for the message. */
export function refuseUntrusted(directory: HeldFile, path: string): void {
  const { uid, mode } = directory.stats;
  if (uid === 0 && ((mode & writeOfOthers) === 0 || (mode & sticky) !== 0)) return;
  throw untrusted(directory.path, path);
}

function untrusted(directory: string, path: string): ServiceError {
  const advice = 'only root may be able to change the directories above it';
  return new ServiceError(
    'AccessDenied',
    `${path} is not touched, since others can write ${directory}: ${advice}`,
  );
}
