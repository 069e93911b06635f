/**
 * The disk that holds the state. Operations that free space must be persisted even when it is full: they are written
 * into files that were reserved before, each overwritten and renamed.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { access, lstat, open, rename, rm, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { systemCode } from '../../errors.ts';
import { Mutex } from '../mutex.ts';
import { flushDirectory, type StateChange, writeStateFile } from './state-file.ts';

/** With less free space than this the disk is full: a file and its directory entry take a block each. */
const fullBelowBytes = 8 << 10;
const checkEveryMs = 5_000;
const fullCodes = new Set(['ENOSPC', 'EDQUOT']);

/** Options of `StateDisk.open`. */
export interface StateDiskOptions {
  /** Sizes of the reserved files; content that is written on a full disk must fit into one. */
  readonly reserve?: readonly number[];
}

/** The disk below a state directory: whether it is full, and reserved space for writes that must succeed even then. */
export class StateDisk implements Disposable {
  readonly #directory: string;
  readonly #reserve: readonly number[];
  #onProblem: (problem: string) => void = () => undefined;
  #problem = '';
  #timer: NodeJS.Timeout | undefined;
  /** Serializes uses of the reserved files. */
  readonly #uses = new Mutex();

  private constructor(directory: string, { reserve = [] }: StateDiskOptions) {
    this.#directory = directory;
    this.#reserve = reserve.toSorted((one, other) => one - other);
  }

  /** Checks the disk and reserves missing files, now and periodically. Never fails. */
  static async open(directory: string, options: StateDiskOptions = {}): Promise<StateDisk> {
    const disk = new StateDisk(directory, options);
    await disk.check();
    disk.#timer = setInterval(() => void disk.check(), checkEveryMs).unref();
    return disk;
  }

  /** The problem of the disk, '' when there is none. */
  get problem(): string {
    return this.#problem;
  }

  /** Notifies of the current problem, if any, and of every change. */
  onProblem(listener: (problem: string) => void): void {
    this.#onProblem = listener;
    if (this.#problem !== '') listener(this.#problem);
  }

  /** Checks the disk now, and replaces used reserve files. Never fails. */
  async check(): Promise<void> {
    await this.#uses.run(async () => {
      await this.#refill();
      this.#tell(await problemOf(this.#directory));
    });
  }

  /** As `writeStateFile`; on a full disk into reserved space. Only for operations that free space. */
  async write(path: string, content: string, change: StateChange = {}): Promise<void> {
    try {
      await writeStateFile(path, content, change);
    } catch (error) {
      if (!isNoSpace(error)) throw error;
      await this.#uses.run(async () => {
        if (!(await this.#writeReserved(path, Buffer.from(content)))) throw error;
        await this.#refill();
      });
      await this.check();
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  /** Returns false when no reserved file is large enough. */
  async #writeReserved(path: string, content: Buffer): Promise<boolean> {
    for (const [at, size] of this.#reserve.entries()) {
      if (content.length > size || (await sizeOf(this.#pathOf(at))) !== size) continue;
      await overwrite(this.#pathOf(at), content);
      await rename(this.#pathOf(at), path);
      await flushDirectory(dirname(path));
      return true;
    }
    return false;
  }

  /** Creates the missing reserved files, as far as there is space. */
  async #refill(): Promise<void> {
    for (const [at, size] of this.#reserve.entries()) {
      const path = this.#pathOf(at);
      if ((await sizeOf(path)) === size) continue;
      try {
        await makeReserved(path, size);
      } catch {
        // no space, or a directory of another user, which is reported elsewhere
        await rm(path, { force: true }).catch(() => undefined);
        return;
      }
    }
  }

  #tell(problem: string): void {
    if (problem === this.#problem) return;
    this.#problem = problem;
    this.#onProblem(problem);
  }

  #pathOf(at: number): string {
    return join(this.#directory, `.reserve-${at}`);
  }
}

/** Not zeros: some file systems allocate no space for those. */
async function makeReserved(path: string, size: number): Promise<void> {
  await rm(path, { force: true }); // it may belong to another user
  await using file = await open(path, 'wx', 0o600);
  await file.writeFile(randomBytes(size));
  await file.sync();
}

/** Overwrites in place; a copy-on-write file system uses the blocks that truncating has freed. */
async function overwrite(path: string, content: Buffer): Promise<void> {
  await using file = await open(path, 'r+');
  try {
    await file.write(content, 0, content.length, 0);
    await file.sync();
  } catch (error) {
    if (!fullCodes.has(systemCode(error) ?? '')) throw error;
    await file.truncate(0);
    await file.sync();
    await file.write(content, 0, content.length, 0);
  }
  await file.truncate(content.length);
  await file.sync();
}

/** The size of a file that this process can write; another user's file is not a reserve. */
async function sizeOf(path: string): Promise<number | undefined> {
  return lstat(path).then(
    (file) => (file.isFile() && file.uid === process.geteuid?.() ? file.size : undefined),
    () => undefined,
  );
}

async function problemOf(directory: string): Promise<string> {
  try {
    const { bavail, bsize, ffree, files } = await statfs(directory);
    // a file system that reports no inode count does not run out of them
    const isFull = bavail * bsize < fullBelowBytes || (files > 0 && ffree === 0);
    if (isFull) return `${directory} is full: ENOSPC, free some space`;
    await access(directory, constants.W_OK);
    return '';
  } catch (error) {
    // a disk error remounts it read-only; other failures are reported by the reader of the directory
    return systemCode(error) === 'EROFS'
      ? `${directory} cannot be written: EROFS, see dmesg and mount it again`
      : '';
  }
}

function isNoSpace(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return fullCodes.has(systemCode(cause) ?? '');
}
