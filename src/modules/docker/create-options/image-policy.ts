/** Which image a module is made from, and when the registry is asked for it. */
import { ServiceError } from '../../../errors.ts';
import { quoted } from '../../../quoted.ts';
import type { Image } from '../engine.ts';

/**
 * `on-create`: a tag is asked for when the module is made; after that the engine's image is used for as long as
 * there is one. `never`: the engine has the image or the module is not made.
 */
export type ImagePullPolicy = 'on-create' | 'never';

/** What the image of a module must be. */
export interface WantedImage {
  readonly image: string;
  readonly imageDigest?: string | undefined;
  readonly imagePullPolicy?: ImagePullPolicy | undefined;
}

const DIGEST = /^sha256:[0-9a-f]{64}$/;

/** A pull policy in any case of letters (agents write `On-Create`), or InvalidArgs. */
export function parsePullPolicy(value: unknown): ImagePullPolicy {
  const policy = typeof value === 'string' ? value.toLowerCase() : value;
  if (policy === 'on-create' || policy === 'never') return policy;
  throw new ServiceError('InvalidArgs', 'imagePullPolicy is neither on-create nor never');
}

/** The digest of an image that the reference does not contradict, or InvalidArgs. */
export function parseImageDigest(value: unknown, image: string): string {
  if (typeof value !== 'string' || !DIGEST.test(value)) {
    throw new ServiceError('InvalidArgs', 'digest is not sha256: and 64 hexadecimal digits');
  }
  const referred = digestOf(image);
  if (referred !== undefined && referred !== value) {
    throw new ServiceError('InvalidArgs', `digest is another than that of image ${quoted(image)}`);
  }
  return value;
}

/** The digest within a reference, undefined for one that has none. */
function digestOf(reference: string): string | undefined {
  const at = reference.indexOf('@');
  return at === -1 ? undefined : reference.slice(at + 1);
}

/** Whether an image of the engine is the one that is wanted. */
export function isWanted({ imageDigest }: WantedImage, { id, digests }: Image): boolean {
  return imageDigest === undefined || id === imageDigest || digests.includes(imageDigest);
}

/** Whether the same reference can stand for another image later: then the registry is asked when a module is made. */
export function mayMove({ image, imageDigest, imagePullPolicy }: WantedImage): boolean {
  if (imagePullPolicy === 'never') return false;
  return imageDigest === undefined && digestOf(image) === undefined;
}
