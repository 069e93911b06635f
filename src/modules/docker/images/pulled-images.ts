import { join } from 'node:path';
import { describeError, ServiceError } from '../../../errors.ts';
import type { Log } from '../../../service/log/log.ts';
import { jsonRecords, RecordDirectory } from '../../../service/state/record-directory.ts';
import { objectAt } from '../create-options/create-options.ts';
import { AgeClock, type AgeClockOptions } from './age-clock.ts';

declare const imageId: unique symbol;
/** The id of an image, `sha256:…`. */
export type ImageId = string & { readonly [imageId]: true };

/** An image that this runtime pulled. */
export interface PulledImageRecord {
  readonly id: ImageId;
  /** The references that it was pulled by. */
  readonly references: readonly string[];
  /** When something was last known to need it, by the clock of ages. */
  readonly usedAt: Date;
}

const form = jsonRecords<ImageId, PulledImageRecord>({
  parseId: parseImageId,
  parse: parsePulledImage,
  format: ({ id, references, usedAt }) => ({ id, references, usedAt: usedAt.toISOString() }),
});

/** The images that this runtime pulled; only those are ever removed. Persisted; one with a damaged record is kept. */
export class PulledImages {
  readonly #log: Log;
  readonly #clock: AgeClock;
  readonly #records: RecordDirectory<ImageId, PulledImageRecord>;
  /** The references of pulls in progress, and of those that ended a short time ago, by the clock of ages. */
  readonly #recent = new Map<string, Date>();

  private constructor(
    records: RecordDirectory<ImageId, PulledImageRecord>,
    { clock, log }: { readonly clock: AgeClock; readonly log: Log },
  ) {
    this.#records = records;
    this.#clock = clock;
    this.#log = log;
  }

  /** The record below a state directory. */
  static async open(stateDirectory: string, options: AgeClockOptions): Promise<PulledImages> {
    const { log } = options;
    const records = await RecordDirectory.open(join(stateDirectory, 'images'), form);
    for (const [image, damage] of records.damaged) {
      log.warn('record of an image unusable', { image, error: describeError(damage) });
    }
    // a clock that begins anew makes nothing older than the image that was needed last
    const usedMs = records.values().map(({ usedAt }) => usedAt.getTime());
    const first = usedMs.length > 0 ? new Date(Math.max(...usedMs)) : undefined;
    const clock = await AgeClock.open(join(stateDirectory, 'image-ages.json'), options, first);
    return new PulledImages(records, { clock, log });
  }

  all(): readonly PulledImageRecord[] {
    return this.#records.values();
  }

  /** Persists the clock of ages, unless that was done within this time. */
  async saveClock(withinMs: number): Promise<void> {
    await this.#clock.save(withinMs);
  }

  /** The references of pulls that began within this time. */
  recent(withinMs: number): readonly string[] {
    const since = new Date(this.#clock.now().getTime() - withinMs);
    for (const [reference, at] of this.#recent) if (at < since) this.#recent.delete(reference);
    return [...this.#recent.keys()];
  }

  /** A pull begins: nothing of that name is removed soon. */
  begin(reference: string): void {
    this.#recent.set(reference, this.#clock.now());
  }

  /** Records what a pull returned: a new image, or another reference of a recorded one. */
  async add(id: string, reference: string, { isNew }: { readonly isNew: boolean }): Promise<void> {
    this.begin(reference);
    const image = idOf(id);
    const known = image && this.#records.get(image);
    if (image === undefined || (known === undefined && !isNew)) return;
    const references = [...new Set([...(known?.references ?? []), reference])];
    await this.#put({ id: image, references, usedAt: this.#clock.now() });
  }

  /** Something needs the image. */
  async use({ id, references }: PulledImageRecord): Promise<void> {
    await this.#put({ id, references, usedAt: this.#clock.now() });
  }

  /** The engine does not have the image any more. */
  async delete(id: ImageId): Promise<void> {
    await this.#records.delete(id).catch((error: unknown) => this.#warn(id, error));
  }

  /** How long nothing needed an image. */
  unusedMs({ usedAt }: PulledImageRecord): number {
    return Math.max(0, this.#clock.now().getTime() - usedAt.getTime());
  }

  async #put(record: PulledImageRecord): Promise<void> {
    await this.#records
      .put(record.id, record)
      .catch((error: unknown) => this.#warn(record.id, error));
  }

  /** An image without a record is kept. */
  #warn(image: string, error: unknown): void {
    this.#log.warn('record of an image unusable', { image, error: describeError(error) });
  }
}

function parseImageId(text: string): ImageId {
  if (/^sha256:[0-9a-f]{64}$/.test(text)) return text as ImageId; // it fits
  throw new ServiceError('InvalidArgs', `${JSON.stringify(text)} is not the id of an image`);
}

function idOf(text: string): ImageId | undefined {
  try {
    return parseImageId(text);
  } catch {
    return undefined; // an engine with ids of another kind: its images are kept
  }
}

function parsePulledImage(value: unknown, id: ImageId): PulledImageRecord {
  const record = { ...objectAt(value, 'an image') };
  const references: unknown = record['references'];
  const usedAt = new Date(String(record['usedAt']));
  if (record['id'] !== id || !Array.isArray(references) || Number.isNaN(usedAt.getTime())) {
    throw new TypeError('it is not the record of this image');
  }
  return { id, references: references.map(String), usedAt };
}
