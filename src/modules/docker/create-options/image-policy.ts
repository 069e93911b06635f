/** The image of a module, and when it is pulled. */
import { ServiceError } from '../../../errors.ts';
import { quoted } from '../../../quoted.ts';
import type { Image } from '../engine/container-engine.ts';

/**
 * `on-create`: a tag is pulled when the module is created; after that the engine's image is used as long as it exists.
 * `never`: without an image of the engine the creation fails.
 */
export type ImagePullPolicy = 'on-create' | 'never';

/** The image that a module demands. */
export interface WantedImage {
  readonly image: string;
  readonly imageDigest?: string | undefined;
  readonly imagePullPolicy?: ImagePullPolicy | undefined;
}

const digestPattern = /^sha256:[0-9a-f]{64}$/;

/** A pull policy in any case of letters (agents write `On-Create`), or InvalidArgs. */
export function parsePullPolicy(value: unknown): ImagePullPolicy {
  const policy = typeof value === 'string' ? value.toLowerCase() : value;
  if (policy === 'on-create' || policy === 'never') return policy;
  throw new ServiceError('InvalidArgs', 'imagePullPolicy is neither on-create nor never');
}

/** The demanded digest of an image; InvalidArgs when the reference has another one. */
export function parseImageDigest(value: unknown, image: string): string {
  if (typeof value !== 'string' || !digestPattern.test(value)) {
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

/** Whether an image of the engine has the demanded digest. */
export function isWanted({ imageDigest }: WantedImage, { id, digests }: Image): boolean {
  return imageDigest === undefined || id === imageDigest || digests.includes(imageDigest);
}

/** Whether the reference may name another image later: then it is pulled when a module is created. */
export function mayMove({ image, imageDigest, imagePullPolicy }: WantedImage): boolean {
  if (imagePullPolicy === 'never') return false;
  return imageDigest === undefined && digestOf(image) === undefined;
}
