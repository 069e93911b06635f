import { describeError } from '../../../errors.ts';
import { JoinedSignal } from '../../../service/joined-signal.ts';
import type { Log } from '../../../service/log/log.ts';
import type { LogEntry, ModuleType } from '../module-type.ts';

const mostLines = 20;
const mostBytes = 4096;
/** Of a line, whose end is cut off. */
const mostCharacters = 1000;
const readMs = 2_000;
/** Control characters, and those that change the direction of text. */
const unprintable = /[\p{Cc}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** What an instance printed last whose update was rolled back. */
export interface LastOutput {
  /** The image of the update. */
  readonly image: string;
  readonly entries: readonly LogEntry[];
}

/** Dependencies of a failed output. */
export interface FailedOutputOptions {
  /** Of the module. */
  readonly name: string;
  readonly type: Pick<ModuleType, 'parkedLog'>;
  readonly log: Log;
  /** How long the engine may take. */
  readonly readMs?: number;
}

/**
 * The last lines of the instance of the last update that was rolled back, which end with it otherwise. Reading logs needs
 * an authorization of its own: they are in memory only, for the log of the module, and in no property, error or record.
 */
export class FailedOutput {
  readonly #options: FailedOutputOptions;
  #last: (LastOutput & { readonly id: string }) | undefined;
  /** How often it was cleared: what was read for an update before is not kept. */
  #cleared = 0;

  constructor(options: FailedOutputOptions) {
    this.#options = options;
  }

  /** Undefined when nothing is kept. */
  get last(): LastOutput | undefined {
    return this.#last;
  }

  /** Forgets it: another update is tried. */
  clear(): void {
    this.#cleared++;
    this.#last = undefined;
  }

  /** Keeps the last lines of a parked instance, if the engine can give them soon. Never rejects. */
  async read(id: string, image: string, signal: AbortSignal): Promise<void> {
    if (this.#last?.id === id) return;
    const cleared = this.#cleared;
    const { log, name, type } = this.#options;
    using limited = JoinedSignal.within(this.#options.readMs ?? readMs, signal);
    try {
      const { entries } = await type.parkedLog({ id, name }, { tail: mostLines }, limited.signal);
      const last = await lastEntries(entries);
      if (cleared === this.#cleared) this.#last = { id, image, entries: last };
    } catch (error) {
      log.info('output of the update not kept', { module: name, error: describeError(error) });
    }
  }
}

/** The last entries of a log, each a line of its own, that fit. */
async function lastEntries(
  batches: AsyncIterable<readonly LogEntry[]>,
): Promise<readonly LogEntry[]> {
  let last: readonly LogEntry[] = [];
  for await (const batch of batches) last = [...last, ...batch].slice(-mostLines);
  const fitting: LogEntry[] = [];
  let bytes = 0;
  for (const entry of last.toReversed()) {
    const text = Buffer.from(`${printable(entry.text.toString())}\n`);
    bytes += text.length;
    if (bytes > mostBytes) break;
    fitting.unshift({ ...entry, text });
  }
  return fitting;
}

function printable(line: string): string {
  const text = line.replace(/\r?\n$|\r$/, '');
  const shown = text
    .slice(0, mostCharacters)
    .replace(unprintable, (character) => (character === '\t' ? character : '?'));
  return text.length > mostCharacters ? `${shown}…` : shown;
}
