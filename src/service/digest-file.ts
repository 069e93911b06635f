/**
 * The digests of the properties that a service last exposed, saved at an orderly exit, so that the next process can
 * announce the changes since: clients cache properties, some beyond the life of the process that sent them.
 *
 *   present, as read ──► a change is announced ──► removed ──► the service exits ──► saved
 *
 * After a crash it is present only if nothing was announced since it was saved: then it is still accurate.
 */
import { unlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { PropertyDigests } from '../dbus/server/property-digests.ts';
import { describeError, systemCode } from '../errors.ts';
import type { Log } from './log/log.ts';
import { readStateJson, writeStateFile } from './state/state-file.ts';

const formatVersion = 1;
const objectPath = /^(\/[A-Za-z0-9_]+)+$/;

/** Options of `DigestFile.open`. */
export interface DigestFileOptions {
  readonly stateDir: string;
  /** Of the program: another version may have exposed other properties. */
  readonly version: string;
  readonly log: Log;
}

/** The file with the digests of the exposed properties. Its failures are logged and stop nothing. */
export class DigestFile {
  readonly #path: string;
  readonly #version: string;
  readonly #log: Log;
  readonly #before: PropertyDigests | undefined;
  #exists: boolean;
  /** Whether the file matches the exposed properties: every change is announced, and invalidates it. */
  #isCurrent: boolean;
  /** Counts announced changes, so that a write detects concurrent ones. */
  #changes = 0;

  private constructor(options: DigestFileOptions, found: Found) {
    const { stateDir, version, log } = options;
    this.#path = pathIn(stateDir);
    this.#version = version;
    this.#log = log;
    this.#before = found.digests;
    this.#exists = found.exists;
    this.#isCurrent = found.digests !== undefined;
  }

  /** Reads the file of the previous process. */
  static async open(options: DigestFileOptions): Promise<DigestFile> {
    return new DigestFile(options, await read(options));
  }

  /** The digests of what the previous process exposed; undefined when unknown. */
  get before(): PropertyDigests | undefined {
    return this.#before;
  }

  /** Removes the file because a change makes it outdated. Synchronously, as the change may be announced immediately. */
  readonly invalidate = (): void => {
    this.#changes++;
    this.#isCurrent = false;
    if (!this.#exists) return;
    this.#exists = false;
    try {
      unlinkSync(this.#path);
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return;
      const fields = { path: this.#path, error: describeError(error) };
      this.#log.warn(
        'list of published objects not removed, clients may cache stale values',
        fields,
      );
    }
  };

  /** Saves the exposed properties at the end, unless the file matches them. Never rejects. */
  async save(digests: () => PropertyDigests): Promise<void> {
    if (this.#isCurrent) return;
    this.invalidate();
    const text = textOf(this.#version, digests());
    const changes = this.#changes;
    try {
      await writeStateFile(this.#path, text);
      this.#exists = true;
      if (changes === this.#changes) this.#isCurrent = true;
      else this.invalidate();
    } catch (error) {
      const fields = { path: this.#path, error: describeError(error) };
      this.#log.warn('list of published objects not saved', fields);
    }
  }
}

interface Found {
  readonly digests: PropertyDigests | undefined;
  readonly exists: boolean;
}

function pathIn(stateDir: string): string {
  return join(stateDir, 'shown.json');
}

async function read({ stateDir, version, log }: DigestFileOptions): Promise<Found> {
  try {
    const digests = await readStateJson(pathIn(stateDir), (value) => parse(value, version));
    return { digests: digests ?? undefined, exists: digests !== undefined };
  } catch (error) {
    log.info('published objects of the previous run unknown', { error: describeError(error) });
    return { digests: undefined, exists: true };
  }
}

/** Sorted, so that equal content has equal text. */
function textOf(program: string, digests: PropertyDigests): string {
  const objects = Object.fromEntries([...digests].sort(([a], [b]) => (a < b ? -1 : 1)));
  return `${JSON.stringify({ version: formatVersion, program, objects })}\n`;
}

/** Null when another version wrote the file. */
function parse(value: unknown, version: string): PropertyDigests | null {
  const fields = entriesOf(value);
  if (fields.get('version') !== formatVersion || fields.get('program') !== version) return null;
  return new Map([...entriesOf(fields.get('objects'))].map(parseObject));
}

function parseObject([path, digests]: [string, unknown]): [string, string] {
  if (!objectPath.test(path)) throw new TypeError(`${JSON.stringify(path)} is not an object path`);
  if (typeof digests !== 'string') throw new TypeError('it lacks the digests of an object');
  return [path, digests];
}

function entriesOf(value: unknown): ReadonlyMap<string, unknown> {
  if (typeof value !== 'object' || value === null) throw new TypeError('it is not a dictionary');
  return new Map<string, unknown>(Object.entries(value));
}
