/**
 * The disk that holds the state. When it is full, what would free space has to be written down all the same: it goes
 * into files that were made when there was space, each overwritten and renamed to its place.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { access, lstat, open, rename, rm, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { systemCode } from '../../errors.ts';
import { Mutex } from '../mutex.ts';
import { flushDirectory, writeStateFile } from './state-file.ts';

/** Less than this is nothing: a file and its place in a directory take a block each. */
const fullBelowBytes = 8 << 10;
const lookEveryMs = 5_000;
const fullCodes = new Set(['ENOSPC', 'EDQUOT']);

/** What a state disk is opened with. */
export interface StateDiskOptions {
  /** How large the reserved files are; what is written in need must fit into one. */
  readonly reserve?: readonly number[];
}

/** The disk below a state directory: whether it is full, and space for what has to be written then. */
export class StateDisk implements Disposable {
  readonly #directory: string;
  readonly #reserve: readonly number[];
  #onProblem: (problem: string) => void = () => undefined;
  #problem = '';
  #timer: NodeJS.Timeout | undefined;
  /** Uses of the reserved files. */
  readonly #uses = new Mutex();

  private constructor(directory: string, { reserve = [] }: StateDiskOptions) {
    this.#directory = directory;
    this.#reserve = reserve.toSorted((one, other) => one - other);
  }

  /** Looks at the disk and reserves what is missing, now and from time to time. Never fails. */
  static async open(directory: string, options: StateDiskOptions = {}): Promise<StateDisk> {
    const disk = new StateDisk(directory, options);
    await disk.look();
    disk.#timer = setInterval(() => void disk.look(), lookEveryMs).unref();
    return disk;
  }

  /** What is wrong with the disk, '' when nothing is. */
  get problem(): string {
    return this.#problem;
  }

  /** Calls back with the problem when there is one, and whenever it has changed. */
  onProblem(listener: (problem: string) => void): void {
    this.#onProblem = listener;
    if (this.#problem !== '') listener(this.#problem);
  }

  /** Looks at the disk now, and reserves again what was used. Never fails. */
  async look(): Promise<void> {
    await this.#uses.run(async () => {
      await this.#refill();
      this.#tell(await problemOf(this.#directory));
    });
  }

  /** As `writeStateFile`; on a full disk into reserved space. For what ends in space being freed, and for nothing else. */
  async write(path: string, content: string): Promise<void> {
    try {
      await writeStateFile(path, content);
    } catch (error) {
      if (!isNoSpace(error)) throw error;
      await this.#uses.run(async () => {
        if (!(await this.#writeReserved(path, Buffer.from(content)))) throw error;
        await this.#refill();
      });
      await this.look();
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  /** False when there is no reserved file that is large enough. */
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

  /** Makes every reserved file that is missing, as far as there is space. */
  async #refill(): Promise<void> {
    for (const [at, size] of this.#reserve.entries()) {
      const path = this.#pathOf(at);
      if ((await sizeOf(path)) === size) continue;
      try {
        await makeReserved(path, size);
      } catch {
        // no space, or a directory of another user, of which others tell
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

/** Not zeros: some file systems store those in no space at all. */
async function makeReserved(path: string, size: number): Promise<void> {
  await rm(path, { force: true }); // it may be of another user
  await using file = await open(path, 'wx', 0o600);
  await file.writeFile(randomBytes(size));
  await file.sync();
}

/** In its own blocks, or where the file system gives others on each write, in those that it has freed. */
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

/** Of a file that this process can write; one of another user is no reserve. */
async function sizeOf(path: string): Promise<number | undefined> {
  return lstat(path).then(
    (file) => (file.isFile() && file.uid === process.geteuid?.() ? file.size : undefined),
    () => undefined,
  );
}

async function problemOf(directory: string): Promise<string> {
  try {
    const { bavail, bsize, ffree, files } = await statfs(directory);
    // a file system that counts no files has always room for one
    const isFull = bavail * bsize < fullBelowBytes || (files > 0 && ffree === 0);
    if (isFull) return `${directory} is full: ENOSPC`;
    await access(directory, constants.W_OK);
    return '';
  } catch (error) {
    // an error of the disk makes it read-only; what else cannot be looked at is told by whoever reads it
    return systemCode(error) === 'EROFS' ? `${directory} cannot be written: EROFS` : '';
  }
}

function isNoSpace(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return fullCodes.has(systemCode(cause) ?? '');
}
