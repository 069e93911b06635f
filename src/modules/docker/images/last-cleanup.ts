import { describeError } from '../../../errors.ts';
import type { Log } from '../../../service/log/log.ts';
import { readStateJson, writeStateJson } from '../../../service/state/state-file.ts';
import { objectAt } from '../create-options/create-options.ts';

/** Dependencies of the record of the last clean-up. */
export interface LastCleanupOptions {
  readonly now: () => Date;
  readonly log: Log;
}

/** When images were cleaned up last. Persisted: the schedule goes on where a service is restarted more often than it is due. */
export class LastCleanup {
  readonly #path: string;
  readonly #options: LastCleanupOptions;
  #at: Date;

  private constructor(path: string, options: LastCleanupOptions, at: Date) {
    this.#path = path;
    this.#options = options;
    this.#at = at;
  }

  /** Reads the file. Without a usable one the schedule begins now, and is persisted. */
  static async open(path: string, options: LastCleanupOptions): Promise<LastCleanup> {
    let at: Date | undefined;
    try {
      at = await readStateJson(path, parseTime);
    } catch (error) {
      warn(options, error);
    }
    const last = new LastCleanup(path, options, at ?? options.now());
    if (at === undefined) await last.set();
    return last;
  }

  /** A clock that was set back does not postpone the next one. */
  get at(): Date {
    const now = this.#options.now();
    if (this.#at > now) this.#at = now;
    return this.#at;
  }

  /** Records that it is now. Never rejects. */
  async set(): Promise<void> {
    this.#at = this.#options.now();
    const fields = { cleanedAt: this.#at.toISOString() };
    await writeStateJson(this.#path, fields).catch((error: unknown) => warn(this.#options, error));
  }
}

function warn({ log }: LastCleanupOptions, error: unknown): void {
  log.warn('time of the last clean-up of images unusable', { error: describeError(error) });
}

function parseTime(value: unknown): Date {
  const { cleanedAt } = { ...objectAt(value, 'a clean-up') };
  const at = new Date(typeof cleanedAt === 'string' ? cleanedAt : Number.NaN);
  if (Number.isNaN(at.getTime())) throw new TypeError('it has no time');
  return at;
}
