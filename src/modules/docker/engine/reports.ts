import type Docker from 'dockerode';
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
      const container = docker.getContainer(name);
      const stats: JsonObject = { ...(await container.stats({ stream: false, 'one-shot': true })) };
      const whole = 'name' in stats ? stats : { ...(await ownerOf(container)), ...stats };
      // the engine also accepts the beginning of another container's id
      if (whole['name'] !== `/${name}`) throw absent(name);
      return whole;
    });
  }

  /** A container; NotFound without one of exactly that name. */
  container(name: string, signal: AbortSignal): Promise<JsonObject> {
    const action = `inspecting container ${JSON.stringify(name)}`;
    return this.#connection.request({ action, limitMs }, signal, async (docker) => {
      const found = { ...(await docker.getContainer(name).inspect()) };
      if (found.Name !== `/${name}`) throw absent(name);
      return found;
    });
  }

  /** All networks. */
  networks(signal: AbortSignal): Promise<readonly JsonObject[]> {
    const request = { action: 'listing networks', limitMs };
    return this.#connection.request(request, signal, async (docker) =>
      (await docker.listNetworks()).map((network) => ({ ...network })),
    );
  }
}

/** Docker 26 does not say whose a single sample is. */
async function ownerOf(container: Docker.Container): Promise<JsonObject> {
  const { Id: id, Name: name } = await container.inspect();
  return { id, name };
}

function absent(name: string): ServiceError {
  return new ServiceError('NotFound', `no container ${JSON.stringify(name)}`);
}
