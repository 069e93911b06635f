import { join } from 'node:path';
import { describeError } from '../../errors.ts';
import { type ModuleName, parseModuleName } from '../../ids.ts';
import type { Log } from '../../service/log/log.ts';
import { KeyedMutex } from '../../service/mutex.ts';
import { jsonRecords, RecordDirectory } from '../../service/state/record-directory.ts';
import type { ModuleExit } from '../api/module-list.ts';
import { objectAt } from '../docker/create-options/create-options.ts';
import { canonicalJson } from '../docker/digest.ts';

/** What is known of a module's runs. */
export interface ModuleHistory {
  /** The last end of an instance, which the engine forgets when it starts again. */
  readonly ended: EndedInstance | undefined;
  /** How often the runtime has restarted the module. */
  readonly restartCount: number;
  /** Why it was restarted last, `` when it was not. */
  readonly restartReason: string;
  /** Of the last pull for its image, absent when there was none. */
  readonly pullWarning?: ImageWarning | undefined;
}

/** The warning of a pull. */
export interface ImageWarning {
  readonly image: string;
  readonly text: string;
}

/** An end, and the id of its instance. */
export interface EndedInstance {
  readonly instance: string;
  readonly exit: ModuleExit;
}

/** Dependencies of the histories. */
export interface ModuleHistoriesOptions {
  readonly log: Log;
  /** The shortest time between two writes of a record. */
  readonly intervalMs?: number | undefined;
}

/** The history of one module, and how much of it is persisted. */
interface Entry {
  history: ModuleHistory;
  isSaved: boolean;
  isWriting: boolean;
  hasFailed: boolean;
  /** When it was written last, by the monotonic clock. */
  writtenMs: number;
  timer: NodeJS.Timeout | undefined;
}

/** A module may restart in a loop: this bounds the wear of the disk. */
const longIntervalMs = 60_000;
/** A record is not to fill a property, whatever wrote it. */
const longestReason = 200;
const longestWarning = 2048;
const none: ModuleHistory = { ended: undefined, restartCount: 0, restartReason: '' };
const form = jsonRecords<ModuleName, ModuleHistory>({
  parseId: parseModuleName,
  parse: parseHistory,
  format: ({ ended, restartCount, restartReason, pullWarning }) => ({
    ended: ended && { instance: ended.instance, ...ended.exit },
    restartCount,
    restartReason,
    pullWarning,
  }),
});

/**
 * The histories of all modules. Persisted: the first change at once, further ones once in a while and at the end. Nothing
 * depends on a record but what is reported, so a module without a usable one begins a new history.
 */
export class ModuleHistories implements AsyncDisposable {
  readonly #log: Log;
  readonly #intervalMs: number;
  readonly #records: RecordDirectory<ModuleName, ModuleHistory>;
  readonly #entries = new Map<ModuleName, Entry>();
  readonly #files = new KeyedMutex<ModuleName>();
  #isClosed = false;

  private constructor(
    { log, intervalMs = longIntervalMs }: ModuleHistoriesOptions,
    records: RecordDirectory<ModuleName, ModuleHistory>,
  ) {
    this.#log = log;
    this.#intervalMs = intervalMs;
    this.#records = records;
    for (const [name, { value, damage }] of records.entries) {
      if (value !== undefined) this.#entries.set(name, entryOf(value));
      else this.#warn(name, damage);
    }
  }

  /** The histories below a state directory. */
  static async open(
    stateDirectory: string,
    options: ModuleHistoriesOptions,
  ): Promise<ModuleHistories> {
    const records = await RecordDirectory.open(join(stateDirectory, 'histories'), form);
    return new ModuleHistories(options, records);
  }

  /** The history of a module; an empty one when none is known. */
  get(name: ModuleName): ModuleHistory {
    return this.#entries.get(name)?.history ?? none;
  }

  /** Notes the history of a module as it is now. */
  note(name: ModuleName, history: ModuleHistory): void {
    if (canonicalJson(this.get(name)) === canonicalJson(history)) return;
    const entry = this.#entries.get(name) ?? entryOf(history);
    this.#entries.set(name, entry);
    entry.history = history;
    entry.isSaved = false;
    this.#schedule(name, entry);
  }

  /** Deletes the history of a module that was removed. Never rejects. */
  async delete(name: ModuleName): Promise<void> {
    clearTimeout(this.#entries.get(name)?.timer);
    this.#entries.delete(name);
    await this.#files
      .run(name, () => this.#records.delete(name))
      .catch((error: unknown) => this.#warn(name, error));
  }

  /** Deletes the histories of all other modules: the process ended while it deleted one. Never rejects. */
  async retain(names: ReadonlySet<string>): Promise<void> {
    const others = this.#records.ids().filter((name) => !names.has(name));
    await Promise.all(others.map((name) => this.delete(name)));
  }

  /** Persists what is not persisted yet. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#entries].map(([name, entry]) => this.#write(name, entry)));
  }

  #schedule(name: ModuleName, entry: Entry): void {
    if (this.#isClosed || entry.timer !== undefined || entry.isWriting) return;
    const waitMs = entry.writtenMs + this.#intervalMs - performance.now();
    if (waitMs <= 0) void this.#write(name, entry);
    else entry.timer = setTimeout(() => void this.#write(name, entry), waitMs).unref();
  }

  /** Never rejects. */
  async #write(name: ModuleName, entry: Entry): Promise<void> {
    clearTimeout(entry.timer);
    entry.timer = undefined;
    entry.isWriting = true;
    await this.#files.run(name, () => this.#save(name, entry));
    entry.isWriting = false;
    if (!entry.isSaved) this.#schedule(name, entry);
  }

  async #save(name: ModuleName, entry: Entry): Promise<void> {
    // deleted meanwhile, and perhaps another module by now
    if (this.#entries.get(name) !== entry) entry.isSaved = true;
    if (entry.isSaved) return;
    entry.isSaved = true;
    entry.writtenMs = performance.now();
    try {
      await this.#records.put(name, entry.history);
      entry.hasFailed = false;
    } catch (error) {
      entry.isSaved = false;
      if (!entry.hasFailed) this.#warn(name, error);
      entry.hasFailed = true;
    }
  }

  #warn(module: ModuleName, error: unknown): void {
    this.#log.warn('history of a module unusable', { module, error: describeError(error) });
  }
}

function entryOf(history: ModuleHistory): Entry {
  return {
    history,
    isSaved: true,
    isWriting: false,
    hasFailed: false,
    writtenMs: Number.NEGATIVE_INFINITY,
    timer: undefined,
  };
}

function parseHistory(value: unknown): ModuleHistory {
  const { ended, restartCount, restartReason, pullWarning } = { ...objectAt(value, 'a history') };
  const isCount = typeof restartCount === 'number' && Number.isSafeInteger(restartCount);
  if (!isCount || restartCount < 0 || typeof restartReason !== 'string') {
    throw new TypeError('it is not the history of a module');
  }
  return {
    ended: ended === undefined ? undefined : parseEnd(ended),
    restartCount: Math.min(restartCount, 2 ** 31),
    restartReason: restartReason.slice(0, longestReason),
    ...(pullWarning !== undefined && { pullWarning: parseWarning(pullWarning) }),
  };
}

function parseWarning(value: unknown): ImageWarning {
  const { image, text } = { ...objectAt(value, 'a warning') };
  if (typeof image !== 'string' || typeof text !== 'string') {
    throw new TypeError('its warning is none');
  }
  return { image, text: text.slice(0, longestWarning) };
}

function parseEnd(value: unknown): EndedInstance {
  const { instance, code, time } = { ...objectAt(value, 'an end') };
  const at = typeof time === 'string' ? new Date(time) : undefined;
  const isTime = time === undefined || (at !== undefined && !Number.isNaN(at.getTime()));
  if (typeof instance !== 'string' || !Number.isSafeInteger(code) || !isTime) {
    throw new TypeError('its last end is none');
  }
  return { instance, exit: { code: Number(code), time: at } };
}
