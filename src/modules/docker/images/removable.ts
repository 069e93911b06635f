import type { ListedImage } from '../engine/images.ts';
import { withTag } from '../engine/pull.ts';
import { isAtUpstream, upstreamFormOf } from '../upstream-image.ts';
import type { PulledImageRecord } from './pulled-images.ts';

/** What is known about the images of the engine. */
export interface ImageSituation {
  readonly images: readonly ListedImage[];
  /** The ids of the images of all containers, those of other software included. */
  readonly used: ReadonlySet<string>;
  /** Ids, references and digests that configurations demand. */
  readonly wanted: ReadonlySet<string>;
  readonly pulled: readonly PulledImageRecord[];
  readonly unusedMs: (record: PulledImageRecord) => number;
  /** For how long nothing needed an image that may be removed. */
  readonly thresholdMs: number;
}

/** What a clean-up does with an image that was pulled. */
export interface Verdict {
  readonly record: PulledImageRecord;
  /** `gone`: the engine has it no more. `used`: something needs it. `kept`: not old enough, or with other names. */
  readonly kind: 'gone' | 'used' | 'kept' | 'remove';
  /** The references to remove, none for one that has none: it is removed by its id. */
  readonly references: readonly string[];
}

/** Judges every image that was pulled; those to be removed come first, the one that was not needed for longest ahead. */
export function judgeImages(situation: ImageSituation): readonly Verdict[] {
  const images = new Map(situation.images.map((image) => [image.id, image]));
  return situation.pulled
    .map((record) => judge(record, images.get(record.id), situation))
    .toSorted((a, b) => rank(a, situation) - rank(b, situation));
}

function rank({ kind, record }: Verdict, { unusedMs }: ImageSituation): number {
  return kind === 'remove' ? -unusedMs(record) : 1;
}

function judge(
  record: PulledImageRecord,
  image: ListedImage | undefined,
  { used, wanted, unusedMs, thresholdMs }: ImageSituation,
): Verdict {
  if (image === undefined) {
    // an engine may list no image whose tag moved while its container exists
    return { record, kind: used.has(record.id) ? 'used' : 'gone', references: [] };
  }
  const { id, references, digests } = image;
  const names = [id, ...references, ...digests, ...digests.map(digestIn)].map(familiar);
  const wantedNames = new Set([...wanted].map(familiar).map(plainUpstream));
  // whatever host is the parent of this device
  const isDemanded = [...names, ...names.map(upstreamFormOf)].some((name) => wantedNames.has(name));
  if (used.has(id) || isDemanded) {
    return { record, kind: 'used', references };
  }
  const ours = new Set(record.references.map(familiar));
  const isOursAlone = references.every((reference) => ours.has(familiar(reference)));
  const isOld = unusedMs(record) >= thresholdMs;
  return { record, kind: isOursAlone && isOld ? 'remove' : 'kept', references };
}

function digestIn(reference: string): string {
  return reference.slice(reference.indexOf('@') + 1);
}

function plainUpstream(image: string): string {
  return isAtUpstream(image) ? upstreamFormOf(image) : image;
}

/** A reference as engines shorten it. */
function familiar(reference: string): string {
  if (reference.startsWith('sha256:')) return reference;
  return withTag(reference)
    .replace(/^(index\.)?docker\.io\//, '')
    .replace(/^library\//, '');
}
