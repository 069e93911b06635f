import { join } from 'node:path';
import { describeError, ServiceError } from '../../../errors.ts';
import type { Log } from '../../../service/log/log.ts';
import { jsonRecords, RecordDirectory } from '../../../service/state/record-directory.ts';
import { objectAt } from '../create-options/create-options.ts';

declare const imageId: unique symbol;
/** The id of an image, `sha256:…`. */
export type ImageId = string & { readonly [imageId]: true };

/** An image that this runtime pulled. */
export interface PulledImageRecord {
  readonly id: ImageId;
  /** The references that it was pulled by. */
  readonly references: readonly string[];
  /** When something was last known to need it. */
  readonly usedAt: Date;
}

/** Dependencies of the record of pulled images. */
export interface PulledImagesOptions {
  readonly now: () => Date;
  readonly log: Log;
}

/** An earlier time is that of a clock that was never set. */
const earliest = Date.UTC(2024, 0, 1);
const form = jsonRecords<ImageId, PulledImageRecord>({
  parseId: parseImageId,
  parse: parsePulledImage,
  format: ({ id, references, usedAt }) => ({ id, references, usedAt: usedAt.toISOString() }),
});

/** The images that this runtime pulled; only those are ever removed. Persisted; one with a damaged record is kept. */
export class PulledImages {
  readonly #options: PulledImagesOptions;
  readonly #records: RecordDirectory<ImageId, PulledImageRecord>;
  /** The references of pulls in progress, and of those that ended a short time ago. */
  readonly #recent = new Map<string, Date>();

  private constructor(
    options: PulledImagesOptions,
    records: RecordDirectory<ImageId, PulledImageRecord>,
  ) {
    this.#options = options;
    this.#records = records;
  }

  /** The record below a state directory. */
  static async open(stateDirectory: string, options: PulledImagesOptions): Promise<PulledImages> {
    const records = await RecordDirectory.open(join(stateDirectory, 'images'), form);
    for (const [image, damage] of records.damaged) {
      options.log.warn('record of an image unusable', { image, error: describeError(damage) });
    }
    return new PulledImages(options, records);
  }

  all(): readonly PulledImageRecord[] {
    return this.#records.values();
  }

  /** The references that were pulled since. */
  recent(since: Date): readonly string[] {
    for (const [reference, at] of this.#recent) if (at < since) this.#recent.delete(reference);
    return [...this.#recent.keys()];
  }

  /** A pull begins: nothing of that name is removed soon. */
  begin(reference: string): void {
    this.#recent.set(reference, this.#options.now());
  }

  /** Records what a pull returned: a new image, or another reference of a recorded one. */
  async add(id: string, reference: string, { isNew }: { readonly isNew: boolean }): Promise<void> {
    this.begin(reference);
    const image = idOf(id);
    const known = image && this.#records.get(image);
    if (image === undefined || (known === undefined && !isNew)) return;
    const references = [...new Set([...(known?.references ?? []), reference])];
    await this.#put({ id: image, references, usedAt: this.#options.now() });
  }

  /** Something needs the image. */
  async use({ id, references }: PulledImageRecord): Promise<void> {
    await this.#put({ id, references, usedAt: this.#options.now() });
  }

  /** The engine does not have the image any more. */
  async delete(id: ImageId): Promise<void> {
    await this.#records.delete(id).catch((error: unknown) => this.#warn(id, error));
  }

  /** How long nothing needed an image, 0 when the clock was wrong then. */
  unusedMs({ usedAt }: PulledImageRecord): number {
    const usedMs = usedAt.getTime();
    return usedMs < earliest ? 0 : Math.max(0, this.#options.now().getTime() - usedMs);
  }

  async #put(record: PulledImageRecord): Promise<void> {
    await this.#records
      .put(record.id, record)
      .catch((error: unknown) => this.#warn(record.id, error));
  }

  /** An image without a record is kept. */
  #warn(image: string, error: unknown): void {
    this.#options.log.warn('record of an image unusable', { image, error: describeError(error) });
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
