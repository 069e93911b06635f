import { setTimeout as sleep } from 'node:timers/promises';
import { describeError } from '../../../errors.ts';
import { JoinedSignal } from '../../../service/joined-signal.ts';
import type { Log } from '../../../service/log/log.ts';
import { Mutex } from '../../../service/mutex.ts';
import { SharedReads } from '../../../service/shared-reads.ts';
import type { ImageCleanupConfig } from '../../config/housekeeping-config.ts';
import type { WantedImage } from '../create-options/image-policy.ts';
import type { EngineImages } from '../engine/images.ts';
import { isAtUpstream } from '../upstream-image.ts';
import { nextCleanup } from './cleanup-schedule.ts';
import type { MadeRoom } from './full-disk.ts';
import type { LastCleanup } from './last-cleanup.ts';
import type { PulledImages } from './pulled-images.ts';
import { judgeImages, type Verdict } from './removable.ts';
import { removeImage } from './remove-image.ts';

/** Dependencies of the clean-up of images. */
export interface ImageCleanupOptions {
  readonly images: Pick<EngineImages, 'find' | 'list' | 'used' | 'remove'>;
  readonly pulled: PulledImages;
  readonly last: LastCleanup;
  readonly config: () => ImageCleanupConfig;
  /** What modules demand; undefined when that is not known of all of them. */
  readonly wanted: () => readonly WantedImage[] | undefined;
  /** The share of free space on the engine's disk in percent, undefined when it is unknown. */
  readonly freePercent: (signal: AbortSignal) => Promise<number | undefined>;
  /** The device's clock: the schedule has a time of day. */
  readonly now: () => Date;
  /** The monotonic clock; that of the process by default. */
  readonly monotonicMs?: () => number;
  readonly log: Log;
}

/** The interval of the checks of free space and of the schedule. */
const tickMs = 300_000;
/** An image that was needed later is kept even when space is short: an update may have been prepared with it. */
const graceMs = 3_600_000;
/** At most this much time is missing in the ages of images after a power cut, if the device's clock is wrong then. */
const clockIntervalMs = 3_600_000;
/** The shortest time between clean-ups for pulls and creations that met a full disk. */
const pauseMs = 60_000;

/**
 * Removes images that this runtime pulled and that nothing needs any more: those that are old, and when space is short
 * those that were not needed for longest. Never by force: the engine refuses what a container uses.
 */
export class ImageCleanup implements AsyncDisposable {
  readonly #options: ImageCleanupOptions;
  readonly #stop = new AbortController();
  readonly #mutex = new Mutex();
  readonly #monotonicMs: () => number;
  /** Pulls and creations that meet a full disk within a minute share a clean-up. */
  readonly #forRoom: SharedReads<{ readonly removed: number; readonly endedMs: number }>;
  #running: Promise<void> = Promise.resolve();

  constructor(options: ImageCleanupOptions) {
    this.#options = options;
    this.#monotonicMs = options.monotonicMs ?? (() => performance.now());
    this.#forRoom = new SharedReads({ elapsedMs: this.#monotonicMs, sharedMs: pauseMs });
  }

  /** Cleans up from now on. */
  start(): void {
    this.#running = this.#run(this.#stop.signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await this.#mutex.run(() => this.#options.pulled.saveClock(0));
  }

  /**
   * Removes what was not needed for an hour, whatever the free space: a pull or a creation that began at this time of the
   * monotonic clock met a full disk, and the engine has freed since what it had stored of that.
   */
  async makeRoom(sinceMs: number, signal: AbortSignal): Promise<MadeRoom> {
    const { enabled, freePercent } = this.#options.config();
    if (!enabled || freePercent === 0) {
      return { kind: 'none', reason: 'images are not removed for it, as configured' };
    }
    const clean = (shared: AbortSignal) => this.#cleanForRoom(shared);
    const { endedMs, removed } = await this.#forRoom.get('', clean, signal);
    if (endedMs < sinceMs) {
      return { kind: 'none', reason: 'images were removed for it less than a minute ago' };
    }
    if (removed > 0) return { kind: 'removed' };
    return { kind: 'none', reason: 'no image could be removed for it' };
  }

  /** One look at time and space. Never rejects. */
  async tick(signal: AbortSignal): Promise<void> {
    const { config, log, now } = this.#options;
    const { enabled, ageMs, freePercent } = config();
    await this.#options.pulled.saveClock(clockIntervalMs);
    if (!enabled) return;
    try {
      if (now() >= this.#due()) {
        await this.#options.last.set();
        await this.#clean(ageMs, always, signal);
      }
      const isShort = async (): Promise<boolean> =>
        ((await this.#options.freePercent(signal)) ?? 100) < freePercent;
      if (await isShort()) await this.#clean(graceMs, isShort, signal);
    } catch (error) {
      if (!signal.aborted) log.warn('images not cleaned up', { error: describeError(error) });
    }
  }

  #due(): Date {
    return nextCleanup(this.#options.last.at, this.#options.config());
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep(tickMs, undefined, { signal, ref: false }).catch(() => undefined);
      if (!signal.aborted) await this.tick(signal);
    }
  }

  /** How many images were removed, and when that ended; never rejects. */
  async #cleanForRoom(signal: AbortSignal) {
    using joined = new JoinedSignal([signal, this.#stop.signal]);
    let removed = 0;
    try {
      removed = await this.#clean(graceMs, always, joined.signal);
    } catch (error) {
      const { log } = this.#options;
      if (!joined.signal.aborted)
        log.warn('images not cleaned up', { error: describeError(error) });
    }
    return { removed, endedMs: this.#monotonicMs() };
  }

  /** Removes what was not needed for this time, as long as there is more to do; returns how many images that were. */
  #clean(
    thresholdMs: number,
    goesOn: () => Promise<boolean>,
    signal: AbortSignal,
  ): Promise<number> {
    return this.#mutex.run(() => this.#cleanAlone(thresholdMs, goesOn, signal), signal);
  }

  async #cleanAlone(
    thresholdMs: number,
    goesOn: () => Promise<boolean>,
    signal: AbortSignal,
  ): Promise<number> {
    const verdicts = await this.#judge(thresholdMs, signal);
    const { pulled } = this.#options;
    for (const verdict of verdicts) {
      if (verdict.kind === 'gone') await pulled.delete(verdict.record.id);
      if (verdict.kind === 'used') await pulled.use(verdict.record);
    }
    let removed = 0;
    for (const verdict of verdicts) {
      if (verdict.kind !== 'remove') continue;
      if (!(await goesOn())) break;
      if (await this.#remove(verdict, signal)) removed++;
    }
    return removed;
  }

  async #judge(thresholdMs: number, signal: AbortSignal): Promise<readonly Verdict[]> {
    const { images, pulled } = this.#options;
    const records = pulled.all();
    if (records.length === 0) return [];
    const listed = await images.list(signal);
    const used = await images.used(signal);
    // last: a module that was accepted since may demand what nothing needed before
    const wanted = await this.#wanted(signal);
    if (wanted === undefined) return [];
    const unusedMs = pulled.unusedMs.bind(pulled);
    return judgeImages({ images: listed, used, wanted, pulled: records, unusedMs, thresholdMs });
  }

  /** What configurations and pulls demand: as it is written, and the ids that the engine has for it. */
  async #wanted(signal: AbortSignal): Promise<ReadonlySet<string> | undefined> {
    const { images, log, pulled, wanted } = this.#options;
    const demanded = wanted();
    if (demanded === undefined) {
      log.warn('images not cleaned up', { error: 'the image of a module is not known' });
      return undefined;
    }
    const recent = pulled.recent(graceMs);
    const names = new Set(recent);
    for (const { image, imageDigest } of demanded) {
      names.add(image);
      if (imageDigest !== undefined) names.add(imageDigest);
    }
    const ids = new Set<string>();
    for (const { image } of demanded) {
      if (isAtUpstream(image)) continue; // engines have it by the name of its host
      const found = await images.find(image, signal);
      if (found !== undefined) ids.add(found.id);
    }
    return new Set([...names, ...ids]);
  }

  /** Whether the image was removed; one that the engine fails to remove does not keep the others. */
  async #remove(verdict: Verdict, signal: AbortSignal): Promise<boolean> {
    const { images, log, pulled } = this.#options;
    const { references } = verdict;
    const { id } = verdict.record;
    const kept = await removeImage(images, verdict, signal);
    if (kept !== undefined) {
      log.info('image kept', { image: id, ...kept });
      return false;
    }
    log.info('image removed', { image: id, references });
    await pulled.delete(id);
    return true;
  }
}

const always = (): Promise<boolean> => Promise.resolve(true);
