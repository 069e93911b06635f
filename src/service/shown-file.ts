/**
 * The properties that a service last exposed, saved when it ends in order, so that the next process can announce what
 * changed in between: clients cache properties, some beyond the life of the process that sent them.
 *
 *   present, as read ──► a change is announced ──► removed ──► the service ends ──► saved
 *
 * After a crash it is present only if nothing was announced since it was saved: then it is still accurate.
 */
import { unlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Shown, ShownObject } from '../dbus/server/shown.ts';
import { describeError, systemCode } from '../errors.ts';
import type { Log } from './log/log.ts';
import { readStateJson, writeStateFile } from './state/state-file.ts';

const formatVersion = 1;
const objectPath = /^(\/[A-Za-z0-9_]+)+$/;

/** Options of `ShownFile.open`. */
export interface ShownFileOptions {
  readonly stateDir: string;
  /** Of the program: another version may have exposed other properties. */
  readonly version: string;
  readonly log: Log;
}

/** The file with digests of the exposed properties. Its failures delay nothing. */
export class ShownFile {
  readonly #path: string;
  readonly #version: string;
  readonly #log: Log;
  readonly #before: Shown | undefined;
  #isThere: boolean;
  /** Whether the file matches the exposed properties: every change is announced, and invalidates it. */
  #holds: boolean;
  /** Counts announced changes, so that a write can detect one. */
  #changes = 0;

  private constructor(options: ShownFileOptions, found: Found) {
    const { stateDir, version, log } = options;
    this.#path = pathIn(stateDir);
    this.#version = version;
    this.#log = log;
    this.#before = found.shown;
    this.#isThere = found.isThere;
    this.#holds = found.shown !== undefined;
  }

  /** Reads the file of the previous process. */
  static async open(options: ShownFileOptions): Promise<ShownFile> {
    return new ShownFile(options, await read(options));
  }

  /** The properties that the service exposed when it ended; undefined when unknown. */
  get before(): Shown | undefined {
    return this.#before;
  }

  /** Removes the file because a change makes it outdated. Synchronously, as the change may be announced immediately. */
  readonly forget = (): void => {
    this.#changes++;
    this.#holds = false;
    if (!this.#isThere) return;
    this.#isThere = false;
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
  async save(shown: () => Shown): Promise<void> {
    if (this.#holds) return;
    this.forget();
    const text = textOf(this.#version, shown());
    const changes = this.#changes;
    try {
      await writeStateFile(this.#path, text);
      this.#isThere = true;
      if (changes === this.#changes) this.#holds = true;
      else this.forget();
    } catch (error) {
      const fields = { path: this.#path, error: describeError(error) };
      this.#log.warn('list of published objects not saved', fields);
    }
  }
}

interface Found {
  readonly shown: Shown | undefined;
  readonly isThere: boolean;
}

function pathIn(stateDir: string): string {
  return join(stateDir, 'shown.json');
}

async function read({ stateDir, version, log }: ShownFileOptions): Promise<Found> {
  try {
    const shown = await readStateJson(pathIn(stateDir), (value) => parse(value, version));
    return { shown: shown ?? undefined, isThere: shown !== undefined };
  } catch (error) {
    log.info('published objects of the previous run unknown', { error: describeError(error) });
    return { shown: undefined, isThere: true };
  }
}

function textOf(program: string, shown: Shown): string {
  const objects = [...shown].map(([path, digests]) => [path, sorted(digests)] as const);
  const content = { version: formatVersion, program, objects: sorted(new Map(objects)) };
  return `${JSON.stringify(content)}\n`;
}

/** Sorted, so that equal content has equal text. */
function sorted<T>(map: ReadonlyMap<string, T>): Readonly<Record<string, T>> {
  return Object.fromEntries<T>([...map].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Null when another version wrote the file. */
function parse(value: unknown, version: string): Shown | null {
  const fields = entriesOf(value);
  if (fields.get('version') !== formatVersion || fields.get('program') !== version) return null;
  return new Map([...entriesOf(fields.get('objects'))].map(parseObject));
}

function parseObject([path, digests]: [string, unknown]): [string, ShownObject] {
  if (!objectPath.test(path)) throw new TypeError(`${JSON.stringify(path)} is no object path`);
  const texts = [...entriesOf(digests)].map(([name, digest]) => [name, String(digest)] as const);
  return [path, new Map(texts)];
}

function entriesOf(value: unknown): ReadonlyMap<string, unknown> {
  if (typeof value !== 'object' || value === null) throw new TypeError('it is no dictionary');
  return new Map<string, unknown>(Object.entries(value));
}
