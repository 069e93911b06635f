import { setTimeout as sleep } from 'node:timers/promises';
import { describeError } from '../../../errors.ts';
import type { Log } from '../../../service/log/log.ts';
import type { ImageCleanupConfig } from '../../config/housekeeping-config.ts';
import type { WantedImage } from '../create-options/image-policy.ts';
import type { EngineImages } from '../engine/images.ts';
import { nextCleanup } from './cleanup-schedule.ts';
import type { LastCleanup } from './last-cleanup.ts';
import type { PulledImages } from './pulled-images.ts';
import { judgeImages, type Verdict } from './removable.ts';

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
  readonly now: () => Date;
  readonly log: Log;
}

/** The interval of the checks of free space and of the schedule. */
const tickMs = 300_000;
/** An image that was needed later is kept even when space is short: an update may have been prepared with it. */
const graceMs = 3_600_000;

/**
 * Removes images that this runtime pulled and that nothing needs any more: those that are old, and when space is short
 * those that were not needed for longest. Never by force: the engine refuses what a container uses.
 */
export class ImageCleanup implements AsyncDisposable {
  readonly #options: ImageCleanupOptions;
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(options: ImageCleanupOptions) {
    this.#options = options;
  }

  /** Cleans up from now on. */
  start(): void {
    this.#running = this.#run(this.#stop.signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** One look at time and space. Never rejects. */
  async tick(signal: AbortSignal): Promise<void> {
    const { config, log, now } = this.#options;
    const { enabled, ageMs, freePercent } = config();
    if (!enabled) return;
    try {
      if (now() >= this.#due()) {
        await this.#options.last.set();
        await this.#clean(ageMs, () => Promise.resolve(true), signal);
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

  /** Removes what was not needed for this time, as long as there is more to do. */
  async #clean(
    thresholdMs: number,
    goesOn: () => Promise<boolean>,
    signal: AbortSignal,
  ): Promise<void> {
    const verdicts = await this.#judge(thresholdMs, signal);
    const { pulled } = this.#options;
    for (const verdict of verdicts) {
      if (verdict.kind === 'gone') await pulled.delete(verdict.record.id);
      if (verdict.kind === 'used') await pulled.use(verdict.record);
    }
    for (const verdict of verdicts) {
      if (verdict.kind !== 'remove') continue;
      if (!(await goesOn())) return;
      await this.#remove(verdict, signal);
    }
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
    const { images, log, now, pulled, wanted } = this.#options;
    const demanded = wanted();
    if (demanded === undefined) {
      log.warn('images not cleaned up', { error: 'the image of a module is not known' });
      return undefined;
    }
    const recent = pulled.recent(new Date(now().getTime() - graceMs));
    const names = new Set(recent);
    for (const { image, imageDigest } of demanded) {
      names.add(image);
      if (imageDigest !== undefined) names.add(imageDigest);
    }
    const ids = new Set<string>();
    for (const { image } of demanded) {
      const found = await images.find(image, signal);
      if (found !== undefined) ids.add(found.id);
    }
    return new Set([...names, ...ids]);
  }

  async #remove({ record, references }: Verdict, signal: AbortSignal): Promise<void> {
    const { images, log, pulled } = this.#options;
    const { id } = record;
    const names = references.length > 0 ? references : [id];
    for (const name of names) {
      if (await images.remove(name, signal)) continue;
      log.info('image kept', { image: id, reference: name, reason: 'it is in use' });
      return;
    }
    log.info('image removed', { image: id, references });
    await pulled.delete(id);
  }
}
