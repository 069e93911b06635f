/**
 * What a service last showed, written when it ends in order, so that the next process can announce what changed while
 * none was there: clients cache properties, and some for longer than the process lives that told them.
 *
 *   there, as read ──► a change is announced ──► gone ──► the service ends ──► written
 *
 * After a crash it is there only if nothing was announced since it was written: then it still holds.
 */
import { unlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Shown, ShownObject } from '../dbus/server/shown.ts';
import { describeError, systemCode } from '../errors.ts';
import type { Log } from './log/log.ts';
import { readStateJson, writeStateFile } from './state/state-file.ts';

const formatVersion = 1;
const objectPath = /^(\/[A-Za-z0-9_]+)+$/;

/** What the file of a service is opened with. */
export interface ShownFileOptions {
  readonly stateDir: string;
  /** Of the program: what another one showed may have had other properties. */
  readonly version: string;
  readonly log: Log;
}

/** The file with digests of what a service showed. Nothing that happens to it holds anything up. */
export class ShownFile {
  readonly #path: string;
  readonly #version: string;
  readonly #log: Log;
  readonly #before: Shown | undefined;
  #isThere: boolean;
  /** Whether the file says what is shown at present: every change is announced, and ends that. */
  #holds: boolean;
  /** Counts the changes that were announced, so that a write notices one. */
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

  /** Reads what the process before this one left. */
  static async open(options: ShownFileOptions): Promise<ShownFile> {
    return new ShownFile(options, await read(options));
  }

  /** What the service showed when it ended; undefined when nobody knows. */
  get before(): Shown | undefined {
    return this.#before;
  }

  /** Removes the file: what it says is about to be changed. At once, as the change may be announced at once. */
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

  /** Writes what is shown at the end, unless the file says so already. Never rejects. */
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

/** In one order, so that the same content is the same text. */
function sorted<T>(map: ReadonlyMap<string, T>): Readonly<Record<string, T>> {
  return Object.fromEntries<T>([...map].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Null for what another version showed. */
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
