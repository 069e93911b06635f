import { Readable } from 'node:stream';
import type Docker from 'dockerode';
import { ServiceError } from '../../errors.ts';
import type {
  Container,
  ContainerEngine,
  EngineSystem,
  EngineVersion,
  JsonObject,
  LogRequest,
  Network,
  PullOptions,
} from '../engine.ts';
import { owner, ownerLabel } from '../labels.ts';
import { containerOf, eventName, systemOf } from './inspect.ts';
import { logStream } from './logs.ts';
import { followPull, withTag } from './pull.ts';
import { demultiplexed, jsonLines, lastLines, plain } from './streams.ts';
import { messageOf, statusOf, translate, translatePull } from './translate.ts';

const answerMs = 60_000;
const noticeMs = 10_000;
const listening = 'listening to the container engine';

/** An engine that speaks the Docker API on a unix socket. */
export class DockerEngine implements ContainerEngine {
  readonly #socketPath: string;
  #client: Docker | undefined;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  version(signal: AbortSignal): Promise<EngineVersion> {
    return this.#ask('asking for the version', noticeMs, signal, async (docker) => {
      const answer = await docker.version();
      return { name: answer.Platform?.Name || 'docker', version: answer.Version };
    });
  }

  system(signal: AbortSignal): Promise<EngineSystem> {
    return this.#ask('asking for the system', noticeMs, signal, async (docker) => {
      const answer: unknown = await docker.info();
      return systemOf(answer);
    });
  }

  findImage(reference: string, signal: AbortSignal): Promise<string | undefined> {
    const doing = `looking for image ${JSON.stringify(reference)}`;
    return this.#ask(doing, answerMs, signal, async (docker) => {
      try {
        return (await docker.getImage(withTag(reference)).inspect()).Id;
      } catch (error) {
        if (statusOf(error) === 404) return undefined;
        throw error;
      }
    });
  }

  async pull(reference: string, options: PullOptions, signal: AbortSignal): Promise<void> {
    const docker = await this.#open();
    // The client takes an image's parts from the first argument and its credentials from the second.
    const authconfig = options.auth === undefined ? {} : { authconfig: options.auth };
    try {
      const stream = await docker.pull(withTag(reference), { ...authconfig, abortSignal: signal });
      await followPull(iterable(stream), reference, options.onProgress ?? (() => {}));
    } catch (error) {
      if (error instanceof ServiceError) throw error;
      if (signal.aborted || statusOf(error) === undefined) {
        throw translate(error, `pulling ${JSON.stringify(reference)}`, signal);
      }
      throw translatePull(messageOf(error), reference, error);
    }
  }

  ensureNetwork(network: Network, signal: AbortSignal): Promise<void> {
    const doing = `making network ${JSON.stringify(network.name)}`;
    return this.#ask(doing, answerMs, signal, async (docker, abortSignal) => {
      try {
        await docker.getNetwork(network.name).inspect();
      } catch (error) {
        if (statusOf(error) !== 404) throw error;
        await createNetwork(docker, network, abortSignal);
      }
    });
  }

  inspect(name: string, signal: AbortSignal): Promise<Container | undefined> {
    return this.#ask(`looking at ${shown(name)}`, answerMs, signal, async (docker, abortSignal) => {
      try {
        return containerOf(await docker.getContainer(name).inspect({ abortSignal }));
      } catch (error) {
        if (statusOf(error) === 404) return undefined;
        throw error;
      }
    });
  }

  create(name: string, body: JsonObject, signal: AbortSignal): Promise<void> {
    return this.#ask(`creating ${shown(name)}`, answerMs, signal, async (docker, abortSignal) => {
      await docker.createContainer({ ...body, name, abortSignal });
    });
  }

  start(name: string, signal: AbortSignal): Promise<void> {
    return this.#ask(`starting ${shown(name)}`, answerMs, signal, (docker, abortSignal) =>
      ignoring([304], docker.getContainer(name).start({ abortSignal })),
    );
  }

  stop(name: string, timeoutS: number | undefined, signal: AbortSignal): Promise<void> {
    const limitMs = answerMs + (timeoutS ?? 0) * 1000;
    const options = timeoutS === undefined ? {} : { t: timeoutS };
    return this.#ask(`stopping ${shown(name)}`, limitMs, signal, (docker, abortSignal) =>
      ignoring([304, 404], docker.getContainer(name).stop({ ...options, abortSignal })),
    );
  }

  remove(name: string, signal: AbortSignal): Promise<void> {
    return this.#ask(`removing ${shown(name)}`, answerMs, signal, (docker, abortSignal) =>
      ignoring([404], docker.getContainer(name).remove({ force: true, v: true, abortSignal })),
    );
  }

  logs(name: string, request: LogRequest, signal: AbortSignal): Promise<Buffer> {
    return this.#ask(
      `reading the log of ${shown(name)}`,
      answerMs,
      signal,
      async (docker, late) => {
        const { Config } = await docker.getContainer(name).inspect({ abortSignal: late });
        const stream = await logStream(docker, name, { request, signal: late });
        return lastLines((Config.Tty ? plain : demultiplexed)(iterable(stream)), request.maxBytes);
      },
    );
  }

  listen(signal: AbortSignal): Promise<AsyncIterable<string>> {
    const filters = JSON.stringify({ type: ['container'], label: [`${ownerLabel}=${owner}`] });
    return this.#ask(listening, noticeMs, signal, async (docker) =>
      // Not the signal with the deadline: that one would end the stream.
      eventNames(iterable(await docker.getEvents({ filters, abortSignal: signal })), signal),
    );
  }

  /** One request with a deadline: the client has none of its own, and hangs when an answer is cut off. */
  async #ask<T>(
    doing: string,
    limitMs: number,
    signal: AbortSignal,
    request: (docker: Docker, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const limited = AbortSignal.any([signal, AbortSignal.timeout(limitMs)]);
    const docker = await this.#open();
    try {
      return await untilAborted(request(docker, limited), limited);
    } catch (error) {
      throw translate(error, doing, limited);
    }
  }

  /** The client takes a quarter of a second of processor time to load, so it is loaded when first needed. */
  async #open(): Promise<Docker> {
    if (this.#client === undefined) {
      const { default: Client } = await import('dockerode');
      // An empty host keeps the client from turning to DOCKER_HOST.
      this.#client ??= new Client({ socketPath: this.#socketPath, host: '', protocol: 'http' });
    }
    return this.#client;
  }
}

async function* eventNames(
  stream: AsyncIterable<unknown>,
  signal: AbortSignal,
): AsyncGenerator<string> {
  try {
    for await (const event of jsonLines(stream)) {
      const name = eventName(event);
      if (name !== undefined) yield name;
    }
  } catch (error) {
    throw translate(error, listening, signal);
  }
  throw new ServiceError('Unavailable', `${listening}: it has gone away`);
}

function shown(name: string): string {
  return `container ${JSON.stringify(name)}`;
}

/** Settles with the promise, or rejects as soon as the signal is aborted. */
async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let stop = (): void => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = (): void => reject(signal.reason);
  });
  signal.addEventListener('abort', stop, { once: true });
  try {
    signal.throwIfAborted();
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

async function ignoring(statuses: readonly number[], request: Promise<unknown>): Promise<void> {
  try {
    await request;
  } catch (error) {
    const status = statusOf(error);
    if (status === undefined || !statuses.includes(status)) throw error;
  }
}

async function createNetwork(docker: Docker, network: Network, abortSignal: AbortSignal) {
  const body = {
    Name: network.name,
    Driver: 'bridge',
    Labels: { [ownerLabel]: owner },
    ...(network.ipv6 !== undefined && { EnableIPv6: network.ipv6 }),
    ...(network.ipam !== undefined && { IPAM: network.ipam }),
    abortSignal,
  };
  // 409: somebody else was faster.
  await ignoring([409], docker.createNetwork(body));
}

function iterable(stream: unknown): AsyncIterable<unknown> {
  if (stream instanceof Readable) return stream;
  throw new TypeError('the engine client answered no stream');
}
