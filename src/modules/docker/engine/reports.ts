import { ServiceError } from '../../../errors.ts';
import type { EngineConnection } from './connection/engine-connection.ts';
import type { JsonObject } from './container-engine.ts';

const limitMs = 10_000;

/** What the engine says about containers and networks, in its own terms, for people and tools. */
export class EngineReports {
  readonly #connection: EngineConnection;

  constructor(connection: EngineConnection) {
    this.#connection = connection;
  }

  /** One sample of the use of resources; NotFound without a container of exactly that name. */
  stats(name: string, signal: AbortSignal): Promise<JsonObject> {
    const action = `reading the use of container ${JSON.stringify(name)}`;
    return this.#connection.request({ action, limitMs }, signal, async (docker) => {
      const options = { stream: false, 'one-shot': true } as const;
      const stats = { ...(await docker.getContainer(name).stats(options)) };
      // the engine also accepts the beginning of another container's id
      if (stats.name !== `/${name}`) {
        throw new ServiceError('NotFound', `no container ${JSON.stringify(name)}`);
      }
      return stats;
    });
  }
}
