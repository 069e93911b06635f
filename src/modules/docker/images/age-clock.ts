import { readFile } from 'node:fs/promises';
import { uptime } from 'node:os';
import { describeError } from '../../../errors.ts';
import type { Log } from '../../../service/log/log.ts';
import { readStateJson, writeStateJson } from '../../../service/state/state-file.ts';
import { objectAt } from '../create-options/create-options.ts';

/** The boot of the device that is in progress. */
export interface Boot {
  /** Different for each boot; `` when it is unknown. */
  readonly id: string;
  /** The time since then, also that in which the device was suspended. */
  readonly elapsedMs: () => number;
}

/** Dependencies of the clock. */
export interface AgeClockOptions {
  /** The device's clock, which may be wrong and may be set at any time. */
  readonly now: () => Date;
  readonly boot: Boot;
  readonly log: Log;
}

/** What is persisted: the time of this clock, and those of others at that moment. */
interface Seen {
  readonly time: Date;
  readonly wallTime: Date;
  readonly bootId: string;
  readonly elapsedMs: number;
}

/** A device that seems to have been off for longer may have a wrong clock. */
const longestOffMs = 86_400_000;

/**
 * A clock for ages, which the device's own does not set: within a boot it goes on by the time since then. A boot adds what
 * the device's clock says, up to a day; what it says otherwise adds nothing. So a clock that was never set, or that is
 * years ahead, makes nothing old.
 */
export class AgeClock {
  readonly #path: string;
  readonly #options: AgeClockOptions;
  #seen: Seen;

  private constructor(path: string, options: AgeClockOptions, seen: Seen) {
    this.#path = path;
    this.#options = options;
    this.#seen = seen;
  }

  /** Reads the file. Without a usable one the clock begins at this time, by default that of the device. */
  static async open(
    path: string,
    options: AgeClockOptions,
    first: Date = options.now(),
  ): Promise<AgeClock> {
    let last: Seen | undefined;
    try {
      last = await readStateJson(path, parseSeen);
    } catch (error) {
      options.log.warn('clock of the ages of images unusable', { error: describeError(error) });
    }
    if (last !== undefined && isOfBoot(last, options.boot)) {
      return new AgeClock(path, options, last);
    }
    const time = last === undefined ? first : afterBoot(last, options);
    const clock = new AgeClock(path, options, seenNow(time, options));
    await clock.#write();
    return clock;
  }

  now(): Date {
    const elapsedMs = this.#options.boot.elapsedMs() - this.#seen.elapsedMs;
    return new Date(this.#seen.time.getTime() + elapsedMs);
  }

  /** Persists the time, unless that was done within this time. Never rejects. */
  async save(withinMs: number): Promise<void> {
    const time = this.now();
    if (time.getTime() - this.#seen.time.getTime() < withinMs) return;
    this.#seen = seenNow(time, this.#options);
    await this.#write();
  }

  async #write(): Promise<void> {
    const { time, wallTime, ...ofBoot } = this.#seen;
    const fields = { time: time.toISOString(), wallTime: wallTime.toISOString(), ...ofBoot };
    await writeStateJson(this.#path, fields).catch((error: unknown) => {
      const { log } = this.#options;
      log.warn('clock of the ages of images not saved', { error: describeError(error) });
    });
  }
}

/** The boot of this machine. */
export async function currentBoot(): Promise<Boot> {
  const elapsedMs = (): number => uptime() * 1000;
  const id = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '');
  return { id: id.trim(), elapsedMs };
}

function seenNow(time: Date, { boot, now }: AgeClockOptions): Seen {
  return { time, wallTime: now(), bootId: boot.id, elapsedMs: boot.elapsedMs() };
}

function isOfBoot({ bootId, elapsedMs }: Seen, boot: Boot): boolean {
  return boot.id !== '' && boot.id === bootId && elapsedMs <= boot.elapsedMs();
}

/** The time of the clock after a boot, from what was persisted before. */
function afterBoot({ time, wallTime }: Seen, { log, now }: AgeClockOptions): Date {
  const offMs = now().getTime() - wallTime.getTime();
  if (offMs >= 0 && offMs <= longestOffMs) return new Date(time.getTime() + offMs);
  log.info('time before the boot not added to the ages of images', { offMs });
  return time;
}

function parseSeen(value: unknown): Seen {
  const { time, wallTime, bootId, elapsedMs } = { ...objectAt(value, 'a clock') };
  if (typeof bootId !== 'string' || typeof elapsedMs !== 'number') {
    throw new TypeError('it is not the time of a clock');
  }
  return { time: parseTime(time), wallTime: parseTime(wallTime), bootId, elapsedMs };
}

function parseTime(value: unknown): Date {
  const time = new Date(typeof value === 'string' ? value : Number.NaN);
  if (Number.isNaN(time.getTime())) throw new TypeError('it has no time');
  return time;
}
