import { ServiceError } from '../../../errors.ts';
import { openClient } from './connection/client.ts';
import type { EngineConnection } from './connection/engine-connection.ts';
import { unlessMissing } from './connection/statuses.ts';
import { iterable } from './connection/streams.ts';
import { messageOf, statusOf, translate, translatePull } from './connection/translate.ts';
import type { Image, PullOptions } from './container-engine.ts';
import { imageOf } from './inspect.ts';
import { followPull, withTag } from './pull.ts';

/** The images of an engine. */
export class EngineImages {
  readonly #connection: EngineConnection;

  constructor(connection: EngineConnection) {
    this.#connection = connection;
  }

  find(reference: string, signal: AbortSignal): Promise<Image | undefined> {
    const action = `inspecting image ${JSON.stringify(reference)}`;
    return this.#connection.request({ action }, signal, async (docker) => {
      const found = await unlessMissing(docker.getImage(withTag(reference)).inspect());
      return found && imageOf(found);
    });
  }

  async pull(reference: string, options: PullOptions, signal: AbortSignal): Promise<void> {
    // the client takes the reference from the first argument and the credentials from the second
    const authconfig = options.auth === undefined ? {} : { authconfig: options.auth };
    const { socketPath } = this.#connection;
    try {
      const docker = await openClient(socketPath, signal);
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
}
