import { isServiceError, ServiceError } from '../../errors.ts';
import { quoted } from '../../quoted.ts';
import type { PullProgress } from '../supervisor/module-type.ts';
import { isWanted, mayMove, type WantedImage } from './create-options/image-policy.ts';
import type { ContainerEngine, Image, ImageTag, RegistryAuth } from './engine/container-engine.ts';

/** An image with the credentials for its registry. */
export interface PulledImage extends WantedImage {
  readonly auth: RegistryAuth | undefined;
}

/** How an image is found. */
export interface FindOptions {
  readonly refresh: boolean;
  /** The tag that keeps it, if any. */
  readonly kept?: ImageTag | undefined;
}

/** Of all tags that keep images. */
export const keptRepository = 'iotedge-parked';

/** The tag that keeps the image of a parked container: a repository cannot have every name of a module, a tag can. */
export function keptTag(name: string): ImageTag {
  return { repository: keptRepository, tag: name };
}

function referenceOf({ repository, tag }: ImageTag): string {
  return `${repository}:${tag}`;
}

type ImageEngine = Pick<ContainerEngine, 'findImage' | 'pull'>;

/** Finds and pulls the image of a module. */
export class ModuleImage {
  readonly #engine: ImageEngine;
  readonly #wanted: PulledImage;

  constructor(engine: ImageEngine, wanted: PulledImage) {
    this.#engine = engine;
    this.#wanted = wanted;
  }

  /**
   * The reference to create a container from, undefined when the image is missing. With `refresh`, a reference that can
   * move counts as missing. Where a digest is demanded, the reference is the id of the image that has it: a pull of
   * another client may move the tag. An image that is `kept` goes before that.
   */
  async find({ refresh, kept }: FindOptions, signal: AbortSignal): Promise<string | undefined> {
    const { image, imageDigest } = this.#wanted;
    const former = kept === undefined ? undefined : await this.#find(referenceOf(kept), signal);
    if (former !== undefined) return former.id;
    if (refresh && mayMove(this.#wanted)) return undefined;
    const found = await this.#find(image, signal);
    return found && (imageDigest === undefined ? image : found.id);
  }

  /**
   * Pulls the image. NotFound when the pull policy forbids that, InvalidArgs when its digest is not the demanded one.
   * While the registry is unreachable, an image that the engine has is used; returns a warning, `` otherwise.
   */
  async pull(onProgress: (progress: PullProgress) => void, signal: AbortSignal): Promise<string> {
    const { image, auth, imageDigest, imagePullPolicy } = this.#wanted;
    if (imagePullPolicy === 'never') throw missing(this.#wanted);
    let warning = '';
    try {
      await this.#engine.pull(image, { auth, onProgress }, signal);
    } catch (error) {
      // a refusal by the registry is final; an unreachable engine fails the next request too
      if (!isServiceError(error, 'Unavailable') || !(await this.#find(image, signal))) throw error;
      warning = `the image ${quoted(image)} that the engine has is used: ${error.message}`;
    }
    if (imageDigest === undefined || (await this.#find(image, signal))) return warning;
    const text = `image ${quoted(image)} at the registry is not ${imageDigest}, as digest demands`;
    throw new ServiceError('InvalidArgs', text);
  }

  async #find(reference: string, signal: AbortSignal): Promise<Image | undefined> {
    const found = await this.#engine.findImage(reference, signal);
    return found !== undefined && isWanted(this.#wanted, found) ? found : undefined;
  }
}

/** Pulls the image of a module unless the engine has the wanted one, which no pull could change. */
export async function fetchImage(
  engine: ImageEngine,
  wanted: PulledImage,
  signal: AbortSignal,
): Promise<void> {
  const image = new ModuleImage(engine, wanted);
  if ((await image.find({ refresh: true }, signal)) !== undefined) return;
  await image.pull(() => {}, signal);
}

function missing({ image, imageDigest }: WantedImage): ServiceError {
  const what = imageDigest === undefined ? '' : ` with digest ${imageDigest}`;
  const text = `the engine has no image ${quoted(image)}${what}, and imagePullPolicy is never`;
  return new ServiceError('NotFound', text);
}
