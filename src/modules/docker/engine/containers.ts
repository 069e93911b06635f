import type Docker from 'dockerode';
import { ServiceError } from '../../../errors.ts';
import { instanceCgroups } from '../../callers/process-cgroup.ts';
import {
  DiskFull,
  type Instance,
  type InstanceQuery,
  type LogRequest,
  type ModuleLog,
  type ParkedQuery,
} from '../../supervisor/module-type.ts';
import { memberObject } from '../create-options/create-options.ts';
import type { CreatedContainer, CreatedContainers } from '../drift/created-containers.ts';
import { traitsOf } from '../drift/traits.ts';
import { type MakeRoom, withRoom } from '../images/full-disk.ts';
import { moduleLabel, owner, ownerLabel } from '../labels.ts';
import { type EngineConnection, responseMs } from './connection/engine-connection.ts';
import { ignoring, unlessMissing } from './connection/statuses.ts';
import { meansDiskFull, messageOf, statusOf } from './connection/translate.ts';
import type { JsonObject, Renamed } from './container-engine.ts';
import { isDamage, isRemovalInProgress } from './damage.ts';
import type { ContainerSummary } from './events/event.ts';
import { KillRequests } from './events/kill-requests.ts';
import { containerOf, damagedOf, endedOf, renamedOf, systemOf } from './inspect.ts';
import { logDriverOf, withLogLimits } from './log-rotation.ts';
import { containerLog } from './logs/container-log.ts';
import { startFailure } from './start-failure.ts';
import { refuseRemoval, refuseStart } from './unknown-process.ts';

const ours = { label: [`${ownerLabel}=${owner}`, moduleLabel] };

/** What the runtime records and adds when it creates containers. */
export interface CreationOptions {
  /** Without it, nothing is known about changes of other clients. */
  readonly created?: CreatedContainers | undefined;
  /** The limits of their logs, in the engine's words. */
  readonly logOptions: () => Readonly<Record<string, string>>;
  /** How long the engine may take to begin a log. */
  readonly logLimitMs: number;
  readonly makeRoom?: MakeRoom | undefined;
}

/** The containers of an engine. */
export class EngineContainers {
  readonly #connection: EngineConnection;
  readonly #created: CreatedContainers | undefined;
  readonly #logOptions: CreationOptions['logOptions'];
  readonly #logLimitMs: number;
  readonly #makeRoom: MakeRoom | undefined;
  /** Noted by the events of this engine. */
  readonly kills = new KillRequests();
  /** The engine's own log driver, `` until it is read: the engine takes long to describe the machine. */
  #logDriver = '';

  constructor(connection: EngineConnection, options: CreationOptions) {
    const { created, logLimitMs, logOptions, makeRoom } = options;
    this.#connection = connection;
    this.#created = created;
    this.#logLimitMs = logLimitMs;
    this.#logOptions = logOptions;
    this.#makeRoom = makeRoom;
  }

  list(signal: AbortSignal): Promise<readonly string[]> {
    return this.#request('listing containers', signal, async (docker) => {
      const found = await docker.listContainers({ all: true, filters: ours });
      return found.flatMap(({ Names: [name] }) => (name ? [name.replace(/^\//, '')] : []));
    });
  }

  /** Lists our containers by their ids. */
  summaries(signal: AbortSignal): Promise<ReadonlyMap<string, ContainerSummary>> {
    return this.#request('listing containers', signal, async (docker) => {
      const found = await docker.listContainers({ all: true, filters: ours });
      return new Map(
        found.map(({ Id, Names, State }) => {
          const name = Names[0]?.replace(/^\//, '') ?? '';
          return [Id, { name, state: State }];
        }),
      );
    });
  }

  inspect(name: string, signal: AbortSignal): Promise<Instance | undefined> {
    return this.#request(`inspecting ${shown(name)}`, signal, async (docker) => {
      let found: Docker.ContainerInspectInfo | undefined;
      try {
        found = await findNamed(docker, name);
      } catch (error) {
        if (statusOf(error) === undefined || !isDamage(messageOf(error))) throw error;
        return await findDamaged(docker, name);
      }
      if (found === undefined) return undefined;
      // at once: the pid of a process that ends is another's later
      const cgroups = instanceCgroups(found.State.Pid);
      const killed = this.kills.ended(endedOf(found));
      return { ...(await this.#judged(found)), cgroups, killed };
    });
  }

  /** The container as it is; with the digest of none when another client changed it. */
  async #judged(info: Docker.ContainerInspectInfo): Promise<Instance> {
    const instance = containerOf(info);
    const module = info.Config.Labels?.[moduleLabel];
    // of one that is half removed, the engine knows a part only
    const isWhole = instance.state.kind !== 'dead' && instance.state.kind !== 'removing';
    if (!instance.ours || module === undefined || !isWhole) return instance;
    const container = { id: info.Id, traits: traitsOf(info) };
    const drift = await this.#created?.drift(module, container);
    if (drift === undefined) return instance;
    return { ...instance, drift, ...(drift.repairAt === undefined && { digest: '' }) };
  }

  findRenamed(module: InstanceQuery, signal: AbortSignal): Promise<Renamed | undefined> {
    return this.#request('listing containers', signal, async (docker) => {
      const listed = await docker.listContainers({ all: true, filters: ours });
      const found = renamedOf(listed, module);
      if (found === undefined || found.id === module.knownId) return found;
      const isRecorded = this.#created?.has(module.name, found.id) === true;
      return isRecorded || !(await isOfImage(docker, found.id, module.name)) ? found : undefined;
    });
  }

  findParked({ id, name }: ParkedQuery, signal: AbortSignal): Promise<Instance | undefined> {
    return this.#request(`inspecting ${shown(id)}`, signal, async (docker) => {
      try {
        const found = await unlessMissing(docker.getContainer(id).inspect());
        if (found?.Id !== id || found.Name === `/${name}`) return undefined;
        return { ...containerOf(found), ours: true };
      } catch (error) {
        if (statusOf(error) === undefined || !isDamage(messageOf(error))) throw error;
        const filters = { id: [id] };
        const listed = await docker.listContainers({ all: true, filters });
        const found = listed.find(({ Id, Names }) => Id === id && !Names.includes(`/${name}`));
        return found && { ...damagedOf(found, name), ours: true };
      }
    });
  }

  rename(id: string, name: string, signal: AbortSignal): Promise<void> {
    const action = `renaming ${shown(id)}`;
    return this.#request(action, signal, async (docker) => {
      try {
        await docker.getContainer(id).rename({ name });
      } catch (error) {
        throw taken(error, action);
      }
    });
  }

  /** A creation that meets a full disk is tried again, once, when images could be removed for it. */
  async create(name: string, body: JsonObject, signal: AbortSignal): Promise<void> {
    const module = memberObject(body, 'Labels')[moduleLabel];
    const create = () => withRoom(() => this.#create(name, body, signal), this.#makeRoom, signal);
    if (this.#created === undefined || typeof module !== 'string') await create();
    else await this.#created.create(module, create);
  }

  /** Returns the container as the engine reports it. */
  #create(name: string, body: JsonObject, signal: AbortSignal): Promise<CreatedContainer> {
    const action = `creating ${shown(name)}`;
    return this.#request(action, signal, async (docker) => {
      try {
        // the client would put all of it into the query too, which proxies log
        const options = { name, _query: { name }, _body: await this.#limited(body, docker) };
        const { id } = await docker.createContainer(options);
        return { id, traits: traitsOf(await docker.getContainer(id).inspect()) };
      } catch (error) {
        const message = messageOf(error);
        if (statusOf(error) === undefined || !meansDiskFull(message)) throw taken(error, action);
        throw new DiskFull('Unavailable', `${action}: ${message}`, { cause: error });
      }
    });
  }

  /** The request with limits of the container's log; not part of its digest: others apply to new containers only. */
  async #limited(body: JsonObject, docker: Docker): Promise<JsonObject> {
    const options = this.#logOptions();
    if (Object.keys(options).length === 0) return body;
    const driver = logDriverOf(body) || this.#logDriver || systemOf(await docker.info()).logDriver;
    if (logDriverOf(body) === '') this.#logDriver = driver;
    return withLogLimits(body, { driver, options });
  }

  /** Reads again what may have changed while the engine was restarted. */
  forgetEngine(): void {
    this.#logDriver = '';
  }

  start(name: string, signal: AbortSignal): Promise<void> {
    const action = `starting ${shown(name)}`;
    const context = { action, socketPath: this.#connection.socketPath };
    return this.#request(action, signal, async (docker) => {
      await refuseStart(docker, name, context);
      try {
        await ignoring([304], docker.getContainer(name).start());
      } catch (error) {
        if (statusOf(error) === undefined) throw error;
        throw await startFailure(docker.getContainer(name), context, error);
      }
    });
  }

  stop(nameOrId: string, timeoutS: number | undefined, signal: AbortSignal): Promise<void> {
    const action = `stopping ${shown(nameOrId)}`;
    const limitMs = responseMs + (timeoutS ?? 0) * 1000;
    const options = timeoutS === undefined ? {} : { t: timeoutS };
    return this.#connection.request({ action, limitMs }, signal, (docker) =>
      ignoring([304, 404], docker.getContainer(nameOrId).stop(options)),
    );
  }

  async remove(nameOrId: string, signal: AbortSignal): Promise<void> {
    const action = `removing ${shown(nameOrId)}`;
    await this.#request(action, signal, async (docker) => {
      const container = docker.getContainer(nameOrId);
      await refuseRemoval(container, { action, socketPath: this.#connection.socketPath });
      try {
        await ignoring([404], container.remove({ force: true, v: true }));
      } catch (error) {
        if (statusOf(error) !== 409 || !isRemovalInProgress(messageOf(error))) throw error;
        const failure = waitFailure(await unlessMissing(container.wait({ condition: 'removed' })));
        if (failure !== '') throw new ServiceError('Unavailable', `${action}: ${failure}`);
      }
    });
    await this.#created?.remove(nameOrId);
  }

  unpause(nameOrId: string, signal: AbortSignal): Promise<void> {
    return this.#request(`unpausing ${shown(nameOrId)}`, signal, async (docker) => {
      await docker.getContainer(nameOrId).unpause();
    });
  }

  removeRestartPolicy(nameOrId: string, signal: AbortSignal): Promise<void> {
    const action = `removing the restart policy of ${shown(nameOrId)}`;
    return this.#request(action, signal, async (docker) => {
      await docker.getContainer(nameOrId).update({ RestartPolicy: { Name: 'no' } });
    });
  }

  async log(name: string, request: LogRequest, signal: AbortSignal): Promise<ModuleLog> {
    const action = `reading the log of ${shown(name)}`;
    const { socketPath } = this.#connection;
    const limitMs = this.#logLimitMs;
    const found = await this.#connection.request({ action, limitMs }, signal, (docker) =>
      findNamed(docker, name),
    );
    if (found === undefined) throw new ServiceError('NotFound', `no ${shown(name)}`);
    const { Config, HostConfig, Id } = found;
    const container = { id: Id, isTerminal: Config.Tty, driver: HostConfig.LogConfig?.Type ?? '' };
    const connection = this.#connection;
    return containerLog(container, {
      request,
      connection,
      context: { action, socketPath },
      limitMs,
      signal,
    });
  }

  #request<T>(
    action: string,
    signal: AbortSignal,
    run: (docker: Docker) => Promise<T>,
  ): Promise<T> {
    return this.#connection.request({ action }, signal, run);
  }
}

/** The engine would also accept the beginning of another container's id as a name. */
async function findNamed(docker: Docker, name: string) {
  const found = await unlessMissing(docker.getContainer(name).inspect());
  return found?.Name === `/${name}` ? found : undefined;
}

/**
 * Whether the image of a container has the label of the module, which engines give to the container: the image of one that
 * another client has made of a module's container, such as with `docker commit`.
 */
async function isOfImage(docker: Docker, id: string, module: string): Promise<boolean> {
  const { Image: imageId = '' } = { ...(await unlessMissing(docker.getContainer(id).inspect())) };
  const image = await unlessMissing(docker.getImage(imageId).inspect());
  return image?.Config?.Labels?.[moduleLabel] === module;
}

/** Engines cannot inspect a container without its layer, but list it. */
async function findDamaged(docker: Docker, name: string): Promise<Instance | undefined> {
  const filters = { name: [`^/${name}$`] };
  const listed = await docker.listContainers({ all: true, filters });
  const found = listed.find(({ Names }) => Names.includes(`/${name}`));
  return found && damagedOf(found, name);
}

/** Why what a client waited for failed, `` when it did not: the status of that response is 200 in any case. */
function waitFailure(response: unknown): string {
  const { Message: text } = memberObject(memberObject({ response }, 'response'), 'Error');
  return typeof text === 'string' ? text : '';
}

/** AlreadyExists when the failure is that a name is taken. */
function taken(error: unknown, action: string): unknown {
  if (statusOf(error) !== 409) return error;
  return new ServiceError('AlreadyExists', `${action}: ${messageOf(error)}`, { cause: error });
}

function shown(name: string): string {
  return `container ${JSON.stringify(name)}`;
}
