import { Readable } from 'node:stream';
import type Docker from 'dockerode';
import { ServiceError } from '../../../errors.ts';
import { DiskFull } from '../../supervisor/module-type.ts';
import { type MakeRoom, withRoom } from '../images/full-disk.ts';
import type { PulledImages } from '../images/pulled-images.ts';
import type { EngineConnection } from './connection/engine-connection.ts';
import { unlessMissing } from './connection/statuses.ts';
import { iterable } from './connection/streams.ts';
import {
  meansDiskFull,
  messageOf,
  statusOf,
  translate,
  translatePull,
} from './connection/translate.ts';
import type { Image, ImageTag, PullOptions } from './container-engine.ts';
import { imageOf } from './inspect.ts';
import { followPull, withTag } from './pull.ts';

/** Of a tar archive: two blocks of zeros. */
const emptyArchiveBytes = 1024;

/** An image in the engine's list. */
export interface ListedImage {
  readonly id: string;
  /** Its tags. */
  readonly references: readonly string[];
  /** Its digests at registries, with their repositories. */
  readonly digests: readonly string[];
}

/** What happens beside the requests to the engine. */
export interface EngineImagesOptions {
  /** The record of what is pulled; without it, none of that is ever removed. */
  readonly pulled?: PulledImages | undefined;
  readonly makeRoom?: MakeRoom | undefined;
}

/** The images of an engine. */
export class EngineImages {
  readonly #connection: EngineConnection;
  readonly #options: EngineImagesOptions;

  constructor(connection: EngineConnection, options: EngineImagesOptions = {}) {
    this.#connection = connection;
    this.#options = options;
  }

  /** All images, but those that only others are built on. */
  list(signal: AbortSignal): Promise<readonly ListedImage[]> {
    return this.#connection.request({ action: 'listing images' }, signal, async (docker) =>
      (await docker.listImages()).map(listedOf),
    );
  }

  /** The ids of the images of all containers, running or not, those of other software included. */
  used(signal: AbortSignal): Promise<ReadonlySet<string>> {
    return this.#connection.request({ action: 'listing containers' }, signal, async (docker) => {
      const containers = await docker.listContainers({ all: true });
      return new Set(containers.map(({ ImageID }) => ImageID));
    });
  }

  /** Removes a reference, or an image by its id; false when something uses it, DiskFull when that cannot be saved. A missing one is removed. */
  remove(referenceOrId: string, signal: AbortSignal): Promise<boolean> {
    const action = `removing image ${JSON.stringify(referenceOrId)}`;
    return this.#connection.request({ action }, signal, async (docker) => {
      try {
        await unlessMissing(docker.getImage(referenceOrId).remove());
        return true;
      } catch (error) {
        if (statusOf(error) === 409) return false;
        const message = messageOf(error);
        if (statusOf(error) === undefined || !meansDiskFull(message)) throw error;
        throw new DiskFull('Unavailable', `${action}: ${message}`, { cause: error });
      }
    });
  }

  find(reference: string, signal: AbortSignal): Promise<Image | undefined> {
    const action = `inspecting image ${JSON.stringify(reference)}`;
    return this.#connection.request({ action }, signal, async (docker) => {
      const found = await unlessMissing(docker.getImage(withTag(reference)).inspect());
      return found && imageOf(found);
    });
  }

  /** A pull that meets a full disk is tried again, once, when images could be removed for it. */
  pull(reference: string, options: PullOptions, signal: AbortSignal): Promise<void> {
    const pull = () => this.#pullRecorded(reference, options, signal);
    return withRoom(pull, this.#options.makeRoom, signal);
  }

  async #pullRecorded(reference: string, options: PullOptions, signal: AbortSignal): Promise<void> {
    const { pulled } = this.#options;
    if (pulled === undefined) return this.#pull(reference, options, signal);
    pulled.begin(reference);
    const before = new Set((await this.list(signal)).map(({ id }) => id));
    await this.#pull(reference, options, signal);
    const found = await this.find(reference, signal);
    if (found === undefined) return;
    // what another client brought here is not ours to remove
    await pulled.add(found.id, reference, { isNew: !before.has(found.id) });
  }

  async #pull(reference: string, options: PullOptions, signal: AbortSignal): Promise<void> {
    // the client takes the reference from the first argument and the credentials from the second
    const authconfig = options.auth === undefined ? {} : { authconfig: options.auth };
    const { socketPath } = this.#connection;
    try {
      const docker = await this.#connection.open(signal);
      const stream = await docker.pull(withTag(reference), authconfig);
      await followPull(iterable(stream), reference, options.onProgress ?? (() => {}));
    } catch (error) {
      if (error instanceof ServiceError) throw error;
      if (signal.aborted || statusOf(error) === undefined) {
        const action = `pulling ${JSON.stringify(reference)}`;
        throw translate(error, { action, socketPath }, signal);
      }
      throw translatePull(messageOf(error), reference, error);
    }
  }

  async tagsIn(repository: string, signal: AbortSignal): Promise<readonly string[]> {
    const prefix = `${repository}:`;
    const references = (await this.list(signal)).flatMap((image) => image.references);
    return references.flatMap((one) => (one.startsWith(prefix) ? [one.slice(prefix.length)] : []));
  }

  tagOf(id: string, { repository, tag }: ImageTag, signal: AbortSignal): Promise<void> {
    const action = `tagging the image of container ${JSON.stringify(id)}`;
    return this.#connection.request({ action }, signal, async (docker) => {
      const { Image: image } = await docker.getContainer(id).inspect();
      await docker.getImage(image).tag({ repo: repository, tag });
    });
  }

  untag({ repository, tag }: ImageTag, signal: AbortSignal): Promise<void> {
    const reference = `${repository}:${tag}`;
    const action = `removing tag ${JSON.stringify(reference)}`;
    return this.#connection.request({ action }, signal, async (docker) => {
      const remove = () => unlessMissing(docker.getImage(reference).remove());
      try {
        await remove();
      } catch (error) {
        if (statusOf(error) !== 409) throw error;
        // it is the only tag of an image that a container uses: the image stays without one when another has the tag
        const archive = Readable.from([Buffer.alloc(emptyArchiveBytes)]);
        const stream = await docker.importImage(archive, { repo: repository, tag });
        await followPull(iterable(stream), reference, () => {});
        await remove();
      }
    });
  }
}

function listedOf({ Id, RepoTags, RepoDigests }: Docker.ImageInfo): ListedImage {
  const isNamed = (reference: string): boolean => !reference.startsWith('<none>');
  return {
    id: Id,
    // engines write null for none, whatever the declaration of the client
    references: ((RepoTags as string[] | null | undefined) ?? []).filter(isNamed),
    digests: (RepoDigests ?? []).filter(isNamed),
  };
}
