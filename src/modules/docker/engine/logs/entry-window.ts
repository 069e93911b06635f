import type { LogEntry } from '../../../supervisor/module-type.ts';

/** What an entry occupies besides its text. */
const overheadBytes = 200;

/** The newest entries of a log, as many as fit, and how many there were before them. */
export class EntryWindow {
  readonly #maxBytes: number;
  #entries: LogEntry[] = [];
  #bytes = 0;
  #passed = 0;
  #oldest: LogEntry | undefined;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get entries(): readonly LogEntry[] {
    return this.#entries;
  }

  /** How many entries did not fit. */
  get passed(): number {
    return this.#passed;
  }

  /** The first entry of all. */
  get oldest(): LogEntry | undefined {
    return this.#oldest ?? this.#entries[0];
  }

  /** Adds entries; returns those that do not fit any more. */
  add(batch: readonly LogEntry[]): readonly LogEntry[] {
    for (const entry of batch) {
      this.#entries.push(entry);
      this.#bytes += sizeOf(entry);
    }
    let count = 0;
    for (const entry of this.#entries) {
      if (this.#bytes <= this.#maxBytes) break;
      this.#bytes -= sizeOf(entry);
      count++;
    }
    if (count === 0) return [];
    this.#oldest ??= this.#entries[0];
    this.#passed += count;
    const passed = this.#entries.slice(0, count);
    this.#entries = this.#entries.slice(count);
    return passed;
  }
}

function sizeOf({ text }: LogEntry): number {
  return text.length + overheadBytes;
}
