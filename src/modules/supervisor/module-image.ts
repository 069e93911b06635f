import { isServiceError, ServiceError } from '../../errors.ts';
import { quoted } from '../../quoted.ts';
import { isWanted, mayMove, type WantedImage } from '../docker/create-options/image-policy.ts';
import type { ContainerEngine, Image, PullProgress, RegistryAuth } from '../docker/engine.ts';

/** An image with the credentials for its registry. */
export interface PulledImage extends WantedImage {
  readonly auth: RegistryAuth | undefined;
}

/** Finds and pulls the image of a module. */
export class ModuleImage {
  readonly #engine: Pick<ContainerEngine, 'findImage' | 'pull'>;
  /** Whether the registry was asked for the operation in progress. */
  #isFresh = false;
  #note = '';

  constructor(engine: Pick<ContainerEngine, 'findImage' | 'pull'>) {
    this.#engine = engine;
  }

  /** Why the image may be older than the one at the registry, `` when it is not. */
  get note(): string {
    return this.#note;
  }

  /** Expires the last answer of the registry: a new operation begins. */
  expire(): void {
    this.#isFresh = false;
  }

  /**
   * The reference to create a container from, undefined when the image is missing. While a module is created, a
   * reference that can move counts as missing until the registry has been asked for it. Where a digest is demanded, it
   * is the id of the image that has it: a pull of another client may move the tag.
   */
  async find(
    wanted: WantedImage,
    isCreation: boolean,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    if (isCreation && !this.#isFresh && mayMove(wanted)) return undefined;
    const found = await this.#find(wanted, signal);
    return found && (wanted.imageDigest === undefined ? wanted.image : found.id);
  }

  /**
   * Pulls the image. NotFound when the pull policy forbids that, InvalidArgs when its digest is not the demanded one.
   * An image that the engine has is used while the registry is unreachable.
   */
  async fetch(
    wanted: PulledImage,
    onProgress: (progress: PullProgress) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const { image, auth, imageDigest, imagePullPolicy } = wanted;
    if (imagePullPolicy === 'never') throw missing(wanted);
    try {
      await this.#engine.pull(image, { auth, onProgress }, signal);
      this.#note = '';
    } catch (error) {
      // a refusal by the registry is final; an unreachable engine fails the next request too
      if (!isServiceError(error, 'Unavailable') || !(await this.#find(wanted, signal))) throw error;
      this.#note = `${error.message}; the image that the engine has is used`;
    }
    this.#isFresh = true;
    if (imageDigest === undefined || (await this.#find(wanted, signal))) return;
    const text = `image ${quoted(image)} at the registry is not ${imageDigest}, as digest demands`;
    throw new ServiceError('InvalidArgs', text);
  }

  async #find(wanted: WantedImage, signal: AbortSignal): Promise<Image | undefined> {
    const found = await this.#engine.findImage(wanted.image, signal);
    return found !== undefined && isWanted(wanted, found) ? found : undefined;
  }
}

function missing({ image, imageDigest }: WantedImage): ServiceError {
  const what = imageDigest === undefined ? '' : ` with digest ${imageDigest}`;
  const text = `the engine has no image ${quoted(image)}${what}, and imagePullPolicy is never`;
  return new ServiceError('NotFound', text);
}
