import type Docker from 'dockerode';
import { Mutex } from '../../../service/mutex.ts';
import { owner, ownerLabel } from '../labels.ts';
import type { EngineConnection } from './connection/engine-connection.ts';
import { ignoring, unlessMissing } from './connection/statuses.ts';
import type { Network } from './container-engine.ts';
import { networkDifference } from './network-difference.ts';

/** The networks of an engine. */
export class EngineNetworks {
  readonly #connection: EngineConnection;
  /** One network at a time: the engine would create two of one name for two concurrent requests. */
  readonly #mutex = new Mutex();

  readonly #onProblem: (problem: string) => void;

  /** Passes on how the network differs from what is configured, `` when it does not. */
  constructor(connection: EngineConnection, onProblem: (problem: string) => void = () => {}) {
    this.#connection = connection;
    this.#onProblem = onProblem;
  }

  ensure(network: Network, signal: AbortSignal): Promise<void> {
    const action = `creating network ${JSON.stringify(network.name)}`;
    return this.#mutex.run(() =>
      this.#connection.request({ action }, signal, async (docker) => {
        const found = await unlessMissing(docker.getNetwork(network.name).inspect());
        if (found === undefined) await createNetwork(docker, network);
        // an existing one may have containers of others: it stays as it is
        this.#onProblem(found === undefined ? '' : networkDifference({ ...found }, network));
      }),
    );
  }
}

async function createNetwork(docker: Docker, network: Network): Promise<void> {
  const body = {
    Name: network.name,
    CheckDuplicate: true, // engines before 25 do not check by default
    Driver: 'bridge',
    Labels: { [ownerLabel]: owner },
    ...(network.ipv6 !== undefined && { EnableIPv6: network.ipv6 }),
    ...(network.ipam !== undefined && { IPAM: network.ipam }),
  };
  // 409: another client was faster
  await ignoring([409], docker.createNetwork(body));
}
