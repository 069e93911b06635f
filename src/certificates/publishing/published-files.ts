/**
 * Certificates as files for other programs:
 *
 *   <directory>/<name>/current -> ../.staging/<name>.<version>
 *   <directory>/.staging/<name>.<version>/{fullchain.pem,key.pem,bundle.pem}
 *
 * A version is complete before the link leads to it, and the link is replaced by one rename, so a reader finds the old
 * version or the new one. `<name>` is a real directory, in which only that rename happens: systemd sees nothing else in
 * it. The directory is this service's alone; links that are found in it are replaced or left, and never followed.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import * as nodeDisk from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { systemCode } from '../../errors.ts';
import { fileNameOf, idOfFileName } from '../../service/state/file-name.ts';
import { flushDirectory } from '../../service/state/state-file.ts';
import { requireTrusted } from './trusted-directory.ts';

/** The files of a version, by name. */
export type PublishedContent = ReadonlyMap<string, string>;

/** The calls of the file system that are made here. */
export type Disk = Pick<
  typeof nodeDisk,
  'chmod' | 'lstat' | 'mkdir' | 'open' | 'readdir' | 'readlink' | 'realpath' | 'rename'
> &
  Pick<typeof nodeDisk, 'rm' | 'rmdir' | 'symlink' | 'unlink' | 'utimes'>;

/** The parts of `PublishedFiles`. */
export interface PublishedFilesOptions {
  readonly directory: string;
  /** How long a former version stays for servers that open its files. */
  readonly graceMs: number;
  readonly now: () => Date;
  readonly disk?: Disk;
}

const stagingName = '.staging';
const linkName = 'current';
const versionName = /^(.+)\.[0-9a-f]{16}$/;
const [directoryMode, fileMode] = [0o755, 0o644];
/** More former versions than this are not kept, however often one is replaced. */
const maxFormer = 8;

/** The published certificates in one directory. */
export class PublishedFiles {
  readonly directory: string;
  readonly #staging: string;
  readonly #graceMs: number;
  readonly #now: () => Date;
  readonly #disk: Disk;

  constructor({ directory, graceMs, now, disk = nodeDisk }: PublishedFilesOptions) {
    this.directory = directory;
    this.#staging = join(directory, stagingName);
    this.#graceMs = graceMs;
    this.#now = now;
    this.#disk = disk;
  }

  /** The ids of what is published; fails when the directory cannot be made, and with Unavailable when it is not trusted. */
  async open(): Promise<readonly string[]> {
    await this.#makeDirectory(this.directory);
    await requireTrusted(this.directory, this.#disk);
    await this.#makeDirectory(this.#staging);
    const found = await this.#disk.readdir(this.directory, { withFileTypes: true });
    return found.flatMap((entry) =>
      entry.isDirectory() ? (idOfFileName(entry.name, '') ?? []) : [],
    );
  }

  /** Whether there is a directory at all. */
  async exists(): Promise<boolean> {
    return (await this.#kindOf(this.directory)) !== undefined;
  }

  /** Publishes a certificate; returns whether anything had to be changed. */
  async put(id: string, content: PublishedContent): Promise<boolean> {
    const name = fileNameOf(id, '');
    const home = join(this.directory, name);
    await this.#makeDirectory(home);
    const former = await this.#current(name);
    if (former !== undefined && (await this.#holds(join(this.#staging, former), content))) {
      return false;
    }
    const version = `${name}.${randomBytes(8).toString('hex')}`;
    const link = join(this.#staging, `.${randomBytes(8).toString('hex')}`);
    try {
      await this.#write(join(this.#staging, version), content);
      await this.#disk.symlink(join('..', stagingName, version), link);
      // its grace period begins; the present version has none, so a crash before the swap does no harm
      if (former !== undefined) await this.#touch(former);
      await this.#clear(join(home, linkName));
      await this.#disk.rename(link, join(home, linkName));
    } catch (error) {
      for (const path of [link, join(this.#staging, version)]) {
        await this.#disk.rm(path, { recursive: true, force: true }).catch(() => undefined); // later
      }
      throw error;
    }
    await flushDirectory(home);
    return true;
  }

  /** Removes a certificate; returns whether it was there. What else is in its directory stays. */
  async remove(id: string): Promise<boolean> {
    const home = join(this.directory, fileNameOf(id, ''));
    const { uid } = await this.#disk.lstat(home);
    if (uid !== process.geteuid?.()) return false; // lost+found, say
    const link = join(home, linkName);
    const isPublished = (await this.#kindOf(link)) === 'other';
    if (isPublished) await this.#disk.unlink(link);
    await unless('ENOTEMPTY', this.#disk.rmdir(home));
    await flushDirectory(this.directory);
    return isPublished;
  }

  /** Removes what nothing leads to: at once what is no former version of a published certificate. */
  async tidy(): Promise<void> {
    const former = new Map<string, { readonly version: string; readonly at: number }[]>();
    for (const version of await this.#disk.readdir(this.#staging)) {
      const name = versionName.exec(version)?.[1] ?? '';
      const isName = idOfFileName(name, '') !== undefined;
      const current = isName ? await this.#current(name) : undefined;
      if (current === undefined) await this.#drop(version);
      else if (current !== version) {
        const found = former.get(name) ?? [];
        former.set(name, [...found, { version, at: await this.#formerSince(version) }]);
      }
    }
    const now = this.#now().getTime();
    for (const versions of former.values()) {
      const newest = versions.toSorted((one, other) => other.at - one.at);
      for (const [rank, { version, at }] of newest.entries()) {
        if (rank >= maxFormer || now - at >= this.#graceMs) await this.#drop(version);
      }
    }
  }

  /** When a version was replaced, in milliseconds; a clock that was set back begins its grace period again. */
  async #formerSince(version: string): Promise<number> {
    const { mtimeMs } = await this.#disk.lstat(join(this.#staging, version));
    const now = this.#now().getTime();
    if (mtimeMs <= now + 1000) return mtimeMs;
    await this.#touch(version);
    return now;
  }

  async #touch(version: string): Promise<void> {
    const path = join(this.#staging, version);
    if ((await this.#kindOf(path)) === 'directory') {
      await this.#disk.utimes(path, this.#now(), this.#now());
    }
  }

  async #drop(version: string): Promise<void> {
    await this.#disk.rm(join(this.#staging, version), { recursive: true, force: true });
  }

  /** The version that the link leads to; undefined without one, or when it leads elsewhere. */
  async #current(name: string): Promise<string | undefined> {
    const target = await this.#disk
      .readlink(join(this.directory, name, linkName))
      .catch(() => undefined); // missing, or no link
    const version = target?.startsWith(`../${stagingName}/`)
      ? target.slice(stagingName.length + 4)
      : '';
    return versionName.exec(version)?.[1] === name ? version : undefined;
  }

  /** Whether a version has exactly this content, readable by all and writable by this service only. */
  async #holds(path: string, content: PublishedContent): Promise<boolean> {
    try {
      const names = await this.#disk.readdir(path);
      if (names.length !== content.size) return false;
      if (!isOwn(await this.#disk.lstat(path), directoryMode)) return false;
      for (const [name, text] of content) {
        const flags = constants.O_NONBLOCK | constants.O_NOFOLLOW | constants.O_RDONLY;
        await using file = await this.#disk.open(join(path, name), flags);
        const stats = await file.stat();
        if (!stats.isFile() || !isOwn(stats, fileMode)) return false;
        if (stats.size !== Buffer.byteLength(text)) return false;
        if ((await file.readFile('utf8')) !== text) return false;
      }
      return true;
    } catch (error) {
      if (systemCode(error) === undefined) throw error;
      return false; // missing, unreadable or a link: another version takes its place
    }
  }

  async #write(path: string, content: PublishedContent): Promise<void> {
    await this.#disk.mkdir(path);
    for (const [name, text] of content) {
      await using file = await this.#disk.open(join(path, name), 'wx', fileMode);
      await file.writeFile(text);
      await file.chmod(fileMode); // the service's own files are private
      await file.sync();
    }
    await this.#disk.chmod(path, directoryMode);
    await flushDirectory(path);
    await flushDirectory(this.#staging);
  }

  /** Makes a directory that all may enter, in place of anything else that is found there. */
  async #makeDirectory(path: string): Promise<void> {
    const kind = await this.#kindOf(path);
    if (kind === 'other' && path !== this.directory) await this.#disk.unlink(path);
    if (kind === undefined || (kind === 'other' && path !== this.directory)) {
      await this.#disk.mkdir(path);
      await this.#disk.chmod(path, directoryMode);
      await flushDirectory(dirname(path));
      return;
    }
    const stats = await this.#disk.lstat(path);
    if (stats.isDirectory() && stats.uid === process.geteuid?.() && !isOwn(stats, directoryMode)) {
      await this.#disk.chmod(path, directoryMode);
    }
  }

  /** Makes room for the link: a rename replaces anything but a directory. */
  async #clear(path: string): Promise<void> {
    if ((await this.#kindOf(path)) === 'directory') await this.#disk.rm(path, { recursive: true });
  }

  async #kindOf(path: string): Promise<'directory' | 'other' | undefined> {
    const stats = await unless('ENOENT', this.#disk.lstat(path));
    if (stats === undefined) return undefined;
    return stats.isDirectory() ? 'directory' : 'other';
  }
}

function isOwn(
  { mode, uid }: { readonly mode: number; readonly uid: number },
  wanted: number,
): boolean {
  return uid === process.geteuid?.() && (mode & 0o7777) === wanted;
}

async function unless<T>(code: string, action: Promise<T>): Promise<T | undefined> {
  try {
    return await action;
  } catch (error) {
    if (systemCode(error) === code) return undefined;
    throw error;
  }
}
