import { Readable } from 'node:stream';
import type Docker from 'dockerode';
import { ServiceError } from '../../../errors.ts';
import { JoinedSignal } from '../../../service/joined-signal.ts';
import { Mutex } from '../../../service/mutex.ts';
import type {
  EngineVersion,
  Instance,
  InstanceQuery,
  LogRequest,
} from '../../supervisor/module-type.ts';
import { owner, ownerLabel } from '../labels.ts';
import { openClient } from './client.ts';
import type {
  ContainerEngine,
  EngineSystem,
  Image,
  JsonObject,
  Network,
  NewVolume,
  PullOptions,
  Renamed,
  Volume,
} from './container-engine.ts';
import { fileChanged } from './file-watch.ts';
import { containerOf, eventNames, imageOf, renamedOf, systemOf, volumeOf } from './inspect.ts';
import { logStream } from './logs.ts';
import { followPull, withTag } from './pull.ts';
import { demultiplexed, jsonLines, lastLines, plain } from './streams.ts';
import { messageOf, statusOf, translate, translatePull, unreachableEngine } from './translate.ts';

const responseMs = 60_000;
const noticeMs = 10_000;
/** The events that change the state of a container: not those of its health check commands, which may be frequent. */
const followedEvents =
  'create start stop die destroy remove pause unpause rename update health_status'.split(' ');
const listening = 'listening to the container engine';

/** An engine that speaks the Docker API on a unix socket. */
export class DockerEngine implements ContainerEngine {
  #socketPath: string;
  /** One network at a time: the engine would create two of one name for two concurrent requests. */
  readonly #networks = new Mutex();

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  /** Uses an engine on another socket from now on; pending requests complete on the previous one. */
  use(socketPath: string): void {
    this.#socketPath = socketPath;
  }

  version(signal: AbortSignal): Promise<EngineVersion> {
    return this.#request('reading the version', noticeMs, signal, async (docker) => {
      const info = await docker.version();
      return { name: info.Platform?.Name || 'docker', version: info.Version };
    });
  }

  system(signal: AbortSignal): Promise<EngineSystem> {
    return this.#request('reading the system information', noticeMs, signal, async (docker) => {
      const info: unknown = await docker.info();
      return systemOf(info);
    });
  }

  findImage(reference: string, signal: AbortSignal): Promise<Image | undefined> {
    const action = `inspecting image ${JSON.stringify(reference)}`;
    return this.#request(action, responseMs, signal, async (docker) => {
      try {
        return imageOf(await docker.getImage(withTag(reference)).inspect());
      } catch (error) {
        if (statusOf(error) === 404) return undefined;
        throw error;
      }
    });
  }

  async pull(reference: string, options: PullOptions, signal: AbortSignal): Promise<void> {
    // the client takes the reference from the first argument and the credentials from the second
    const authconfig = options.auth === undefined ? {} : { authconfig: options.auth };
    const socketPath = this.#socketPath;
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

  ensureNetwork(network: Network, signal: AbortSignal): Promise<void> {
    return this.#networks.run(() => this.#makeNetwork(network, signal));
  }

  #makeNetwork(network: Network, signal: AbortSignal): Promise<void> {
    const action = `creating network ${JSON.stringify(network.name)}`;
    return this.#request(action, responseMs, signal, async (docker) => {
      try {
        await docker.getNetwork(network.name).inspect();
      } catch (error) {
        if (statusOf(error) !== 404) throw error;
        await createNetwork(docker, network);
      }
    });
  }

  findVolume(name: string, signal: AbortSignal): Promise<Volume | undefined> {
    const action = `inspecting volume ${JSON.stringify(name)}`;
    return this.#request(action, responseMs, signal, async (docker) => {
      try {
        const found = volumeOf(await docker.getVolume(name).inspect());
        return found.name === name ? found : undefined;
      } catch (error) {
        if (statusOf(error) === 404) return undefined;
        throw error;
      }
    });
  }

  createVolume({ name, labels }: NewVolume, signal: AbortSignal): Promise<void> {
    const action = `creating volume ${JSON.stringify(name)}`;
    return this.#request(action, responseMs, signal, async (docker) => {
      await docker.createVolume({ Name: name, Driver: 'local', Labels: labels });
    });
  }

  list(signal: AbortSignal): Promise<readonly string[]> {
    return this.#request('listing containers', responseMs, signal, async (docker) => {
      const filters = { label: [`${ownerLabel}=${owner}`] };
      const found = await docker.listContainers({ all: true, filters });
      return found.flatMap(({ Names: [name] }) => (name ? [name.replace(/^\//, '')] : []));
    });
  }

  inspect(name: string, signal: AbortSignal): Promise<Instance | undefined> {
    return this.#request(`inspecting ${shown(name)}`, responseMs, signal, async (docker) => {
      const found = await findNamed(docker, name);
      return found && containerOf(found);
    });
  }

  findRenamed(module: InstanceQuery, signal: AbortSignal): Promise<Renamed | undefined> {
    return this.#request('listing containers', responseMs, signal, async (docker) => {
      const filters = { label: [`${ownerLabel}=${owner}`] };
      return renamedOf(await docker.listContainers({ all: true, filters }), module);
    });
  }

  rename(id: string, name: string, signal: AbortSignal): Promise<void> {
    return this.#request(`renaming ${shown(id)}`, responseMs, signal, async (docker) => {
      await docker.getContainer(id).rename({ name });
    });
  }

  create(name: string, body: JsonObject, signal: AbortSignal): Promise<void> {
    const action = `creating ${shown(name)}`;
    return this.#request(action, responseMs, signal, async (docker) => {
      try {
        await docker.createContainer({ ...body, name });
      } catch (error) {
        if (statusOf(error) !== 409) throw error;
        throw new ServiceError('AlreadyExists', `${action}: ${messageOf(error)}`, { cause: error });
      }
    });
  }

  start(name: string, signal: AbortSignal): Promise<void> {
    return this.#request(`starting ${shown(name)}`, responseMs, signal, (docker) =>
      ignoring([304], docker.getContainer(name).start()),
    );
  }

  stop(nameOrId: string, timeoutS: number | undefined, signal: AbortSignal): Promise<void> {
    const limitMs = responseMs + (timeoutS ?? 0) * 1000;
    const options = timeoutS === undefined ? {} : { t: timeoutS };
    return this.#request(`stopping ${shown(nameOrId)}`, limitMs, signal, (docker) =>
      ignoring([304, 404], docker.getContainer(nameOrId).stop(options)),
    );
  }

  remove(nameOrId: string, signal: AbortSignal): Promise<void> {
    return this.#request(`removing ${shown(nameOrId)}`, responseMs, signal, (docker) =>
      ignoring([404], docker.getContainer(nameOrId).remove({ force: true, v: true })),
    );
  }

  removeRestartPolicy(nameOrId: string, signal: AbortSignal): Promise<void> {
    const action = `removing the restart policy of ${shown(nameOrId)}`;
    return this.#request(action, responseMs, signal, async (docker) => {
      await docker.getContainer(nameOrId).update({ RestartPolicy: { Name: 'no' } });
    });
  }

  logs(name: string, request: LogRequest, signal: AbortSignal): Promise<Buffer> {
    return this.#request(
      `reading the log of ${shown(name)}`,
      responseMs,
      signal,
      async (docker) => {
        const found = await findNamed(docker, name);
        if (found === undefined) throw new ServiceError('NotFound', `no ${shown(name)}`);
        const stream = await logStream(docker, found.Id, request);
        return lastLines(
          (found.Config.Tty ? plain : demultiplexed)(iterable(stream)),
          request.maxBytes,
        );
      },
    );
  }

  async listen(signal: AbortSignal): Promise<AsyncIterable<string>> {
    const label = [`${ownerLabel}=${owner}`];
    const filters = JSON.stringify({ type: ['container'], label, event: followedEvents });
    // only the beginning of the stream has a deadline
    const late = new AbortController();
    // not disposed of: the stream ends with it, after this has returned
    const ending = new JoinedSignal([signal, late.signal]).signal;
    const timer = setTimeout(
      () => late.abort(new DOMException(listening, 'TimeoutError')),
      noticeMs,
    );
    const socketPath = this.#socketPath;
    try {
      const docker = await openClient(socketPath, ending);
      const events = iterable(await docker.getEvents({ filters }));
      return namesOf(events, socketPath, signal);
    } catch (error) {
      throw translate(error, { action: listening, socketPath }, ending);
    } finally {
      clearTimeout(timer);
    }
  }

  appeared(signal: AbortSignal): Promise<void> {
    return fileChanged(this.#socketPath, signal);
  }

  /** Requests that share a deadline: the client has none. */
  async #request<T>(
    action: string,
    limitMs: number,
    signal: AbortSignal,
    request: (docker: Docker) => Promise<T>,
  ): Promise<T> {
    using limited = JoinedSignal.within(limitMs, signal);
    const socketPath = this.#socketPath;
    try {
      return await request(await openClient(socketPath, limited.signal));
    } catch (error) {
      throw translate(error, { action, socketPath }, limited.signal);
    }
  }
}

async function* namesOf(
  stream: AsyncIterable<unknown>,
  socketPath: string,
  signal: AbortSignal,
): AsyncGenerator<string> {
  try {
    for await (const event of jsonLines(stream)) {
      yield* eventNames(event);
    }
  } catch (error) {
    throw translate(error, { action: listening, socketPath }, signal);
  }
  throw unreachableEngine(socketPath, 'ECONNRESET');
}

/** The engine would also accept the beginning of another container's id as a name. */
async function findNamed(docker: Docker, name: string) {
  try {
    const found = await docker.getContainer(name).inspect();
    return found.Name === `/${name}` ? found : undefined;
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw error;
  }
}

function shown(name: string): string {
  return `container ${JSON.stringify(name)}`;
}

async function ignoring(statuses: readonly number[], request: Promise<unknown>): Promise<void> {
  try {
    await request;
  } catch (error) {
    const status = statusOf(error);
    if (status === undefined || !statuses.includes(status)) throw error;
  }
}

async function createNetwork(docker: Docker, network: Network) {
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

function iterable(stream: unknown): AsyncIterable<unknown> {
  if (stream instanceof Readable) return stream;
  throw new TypeError('the engine client answered no stream');
}
