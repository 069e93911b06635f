import {
  EngineUnreachable,
  type EngineVersion,
  type Instance,
  type InstanceEnd,
  type InstanceQuery,
  type LogRequest,
  type ModuleLog,
  type ParkedQuery,
} from '../../supervisor/module-type.ts';
import type { CreatedContainers } from '../drift/created-containers.ts';
import { EngineConnection, noticeMs } from './connection/engine-connection.ts';
import type {
  ContainerEngine,
  EngineSystem,
  Image,
  ImageTag,
  JsonObject,
  Network,
  NewVolume,
  PullOptions,
  Renamed,
  Volume,
} from './container-engine.ts';
import { EngineContainers } from './containers.ts';
import { ContainerEvents } from './events/container-events.ts';
import { fileChanged } from './events/file-watch.ts';
import { EngineImages, type EngineImagesOptions } from './images.ts';
import { systemOf } from './inspect.ts';
import { EngineNetworks } from './networks.ts';
import { EngineReports } from './reports.ts';
import { EngineVolumes } from './volumes.ts';

/** What the runtime records and configures beside the engine. */
export interface DockerEngineOptions extends EngineImagesOptions {
  /** Without it, changes of other clients in containers are not found. */
  readonly created?: CreatedContainers;
  /** The limits of the logs of new containers, in the engine's words; none by default. */
  readonly logOptions?: () => Readonly<Record<string, string>>;
  /** How long the engine may take to begin a log, for tests. */
  readonly logLimitMs?: number;
  /** Receives how the modules' network differs from what is configured, `` when it does not. */
  readonly onNetwork?: (problem: string) => void;
}

/** An engine that speaks the Docker API on a unix socket. */
export class DockerEngine implements ContainerEngine {
  readonly #connection: EngineConnection;
  readonly #containers: EngineContainers;
  readonly images: EngineImages;
  readonly #networks: EngineNetworks;
  readonly #volumes: EngineVolumes;
  /** For people and tools. */
  readonly reports: EngineReports;

  constructor(
    socketPath: string,
    { created, logLimitMs, logOptions, onNetwork, ...ofImages }: DockerEngineOptions = {},
  ) {
    const connection = new EngineConnection(socketPath);
    this.#connection = connection;
    this.#containers = new EngineContainers(connection, {
      created,
      logLimitMs: logLimitMs ?? noticeMs,
      logOptions: logOptions ?? (() => ({})),
      makeRoom: ofImages.makeRoom,
    });
    this.images = new EngineImages(connection, ofImages);
    this.#networks = new EngineNetworks(connection, onNetwork);
    this.#volumes = new EngineVolumes(connection);
    this.reports = new EngineReports(connection);
  }

  /** Uses an engine on another socket from now on; pending requests complete on the previous one. */
  use(socketPath: string): void {
    this.#connection.use(socketPath);
  }

  async version(signal: AbortSignal): Promise<EngineVersion> {
    const request = { action: 'reading the version', limitMs: noticeMs };
    const info = await this.#connection.describe(request, signal);
    // it is asked whenever the engine has become reachable
    this.#containers.forgetEngine();
    return { name: info.Platform?.Name || 'docker', version: info.Version };
  }

  system(signal: AbortSignal): Promise<EngineSystem> {
    const request = { action: 'reading the system information', limitMs: noticeMs };
    return this.#connection.request(request, signal, async (docker) => {
      const info: unknown = await docker.info();
      return systemOf(info);
    });
  }

  findImage(reference: string, signal: AbortSignal): Promise<Image | undefined> {
    return this.images.find(reference, signal);
  }

  pull(reference: string, options: PullOptions, signal: AbortSignal): Promise<void> {
    return this.images.pull(reference, options, signal);
  }

  tagImageOf(id: string, tag: ImageTag, signal: AbortSignal): Promise<void> {
    return this.images.tagOf(id, tag, signal);
  }

  untag(tag: ImageTag, signal: AbortSignal): Promise<void> {
    return this.images.untag(tag, signal);
  }

  tagsIn(repository: string, signal: AbortSignal): Promise<readonly string[]> {
    return this.images.tagsIn(repository, signal);
  }

  ensureNetwork(network: Network, signal: AbortSignal): Promise<void> {
    return this.#networks.ensure(network, signal);
  }

  findVolume(name: string, signal: AbortSignal): Promise<Volume | undefined> {
    return this.#volumes.find(name, signal);
  }

  createVolume(volume: NewVolume, signal: AbortSignal): Promise<void> {
    return this.#volumes.create(volume, signal);
  }

  list(signal: AbortSignal): Promise<readonly string[]> {
    return this.#containers.list(signal);
  }

  inspect(name: string, signal: AbortSignal): Promise<Instance | undefined> {
    return this.#containers.inspect(name, signal);
  }

  findRenamed(module: InstanceQuery, signal: AbortSignal): Promise<Renamed | undefined> {
    return this.#containers.findRenamed(module, signal);
  }

  findParked(query: ParkedQuery, signal: AbortSignal): Promise<Instance | undefined> {
    return this.#containers.findParked(query, signal);
  }

  rename(id: string, name: string, signal: AbortSignal): Promise<void> {
    return this.#containers.rename(id, name, signal);
  }

  create(name: string, body: JsonObject, signal: AbortSignal): Promise<void> {
    return this.#containers.create(name, body, signal);
  }

  start(name: string, signal: AbortSignal): Promise<void> {
    return this.#containers.start(name, signal);
  }

  stop(nameOrId: string, timeoutS: number | undefined, signal: AbortSignal): Promise<void> {
    return this.#containers.stop(nameOrId, timeoutS, signal);
  }

  remove(nameOrId: string, signal: AbortSignal): Promise<void> {
    return this.#containers.remove(nameOrId, signal);
  }

  unpause(nameOrId: string, signal: AbortSignal): Promise<void> {
    return this.#containers.unpause(nameOrId, signal);
  }

  removeRestartPolicy(nameOrId: string, signal: AbortSignal): Promise<void> {
    return this.#containers.removeRestartPolicy(nameOrId, signal);
  }

  log(name: string, request: LogRequest, signal: AbortSignal): Promise<ModuleLog> {
    return this.#containers.log(name, request, signal);
  }

  async listen(
    signal: AbortSignal,
    onEnd?: (end: InstanceEnd) => void,
  ): Promise<AsyncIterable<string>> {
    const connection = this.#connection;
    const list = this.#containers.summaries.bind(this.#containers);
    const { kills } = this.#containers;
    const options = { connection, list, kills, onEnd };
    return (await ContainerEvents.open(options, signal)).names(signal);
  }

  async ping(signal: AbortSignal): Promise<void> {
    const request = { action: 'asking whether it responds' };
    try {
      await this.#connection.request(request, signal, (docker) => docker.ping());
    } catch (error) {
      // an error is a response, too
      if (error instanceof EngineUnreachable || signal.aborted) throw error;
    }
  }

  appeared(signal: AbortSignal): Promise<void> {
    return fileChanged(this.#connection.socketPath, signal);
  }
}
