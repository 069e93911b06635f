import type { Log } from './log.ts';
import type { Fields } from './log-record.ts';

/** The log that repeats are written to, and how often. */
export interface RepeatsOptions {
  readonly log: Log;
  readonly repeatMs?: number;
}

/** A record that another process can trigger without limit. */
export interface CausedRecord {
  readonly level: 'info' | 'warn' | 'error';
  readonly message: string;
  /** The cause, as name and value of a field. A single cause uses no more than its share of the memory. */
  readonly cause: readonly [name: string, value: string | number | undefined];
  /** Called only for the first record of a kind. */
  readonly fields: () => Fields;
}

interface Entry extends Omit<CausedRecord, 'fields'> {
  readonly fields: Fields;
  repeats: number;
}

const maxEntries = 4096;
/** Kinds of one cause that are written one by one: more are of no use, and a hostile client can invent any number. */
const maxEntriesPerCause = 32;

/**
 * Writes records to the journal: the first of a kind at once, its repeats as a count, so that neither a busy
 * client nor a hostile one fills the journal.
 */
export class Repeats implements Disposable {
  readonly #log: Log;
  readonly #repeatMs: number;
  readonly #entries = new Map<string, Entry>();
  readonly #entriesByCause = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor({ log, repeatMs = 10_000 }: RepeatsOptions) {
    this.#log = log;
    this.#repeatMs = repeatMs;
  }

  /** Writes the record, or counts it when one of its kind was written recently. */
  note(kind: string, record: CausedRecord): void {
    const known = this.#entries.get(kind);
    if (known !== undefined) {
      known.repeats++;
      return;
    }
    const cause = nameOf(record);
    const ofCause = this.#entriesByCause.get(cause) ?? 0;
    if (ofCause >= maxEntriesPerCause || this.#entries.size >= maxEntries) {
      this.#overflow(record);
      return;
    }
    const entry = { ...record, fields: record.fields(), repeats: 0 };
    this.#entriesByCause.set(cause, ofCause + 1);
    this.#entries.set(kind, entry);
    this.#log[entry.level](entry.message, entry.fields);
    this.#timer ??= setInterval(() => this.#report(), this.#repeatMs).unref();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#report();
    this.#entries.clear();
    this.#entriesByCause.clear();
  }

  /** Further kinds beyond the limit share one entry of their level. */
  #overflow(record: CausedRecord): void {
    const kind = `more ${nameOf(record)} ${record.level}`;
    const shared = this.#entries.get(kind);
    if (shared !== undefined) shared.repeats++;
    else if (this.#entries.size < 2 * maxEntries) {
      const [name, value] = record.cause;
      const fields = { [name]: value, others: true };
      this.#entries.set(kind, { ...record, fields, repeats: 1 });
    }
  }

  /** Writes the counts of repeats since the last report, and evicts entries without any. */
  #report(): void {
    for (const [kind, entry] of this.#entries) {
      if (entry.repeats === 0) this.#evict(kind, entry);
      else this.#log[entry.level](entry.message, { ...entry.fields, repeats: entry.repeats });
      entry.repeats = 0;
    }
    if (this.#entries.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #evict(kind: string, entry: Entry): void {
    this.#entries.delete(kind);
    if (kind.startsWith('more ')) return;
    const cause = nameOf(entry);
    const left = (this.#entriesByCause.get(cause) ?? 1) - 1;
    if (left > 0) this.#entriesByCause.set(cause, left);
    else this.#entriesByCause.delete(cause);
  }
}

function nameOf({ cause }: Pick<CausedRecord, 'cause'>): string {
  return cause.join(' ');
}
