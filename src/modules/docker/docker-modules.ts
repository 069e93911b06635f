import { isServiceError, ServiceError } from '../../errors.ts';
import { quoted } from '../../quoted.ts';
import type { Log } from '../../service/log/log.ts';
import type {
  EngineVersion,
  Instance,
  InstanceEnd,
  InstanceQuery,
  LogRequest,
  ModuleLog,
  ModuleType,
  ParkedQuery,
} from '../supervisor/module-type.ts';
import type { ContainerEngine } from './engine/container-engine.ts';
import { keptRepository, keptTag } from './module-image.ts';

/**
 * The names of parked containers: the configuration lets no module have a name with a dot, except for the agent and the
 * modules in `server_names`.
 */
const parkedPattern = /^(.+)\.parked-[0-9a-f]{12}$/;

/** Modules that are containers of an engine. */
export class DockerModules implements ModuleType {
  readonly name = 'docker';
  readonly #engine: ContainerEngine;
  readonly #log: Log;

  constructor(engine: ContainerEngine, log: Log) {
    this.#engine = engine;
    this.#log = log;
  }

  version(signal: AbortSignal): Promise<EngineVersion> {
    return this.#engine.version(signal);
  }

  list(signal: AbortSignal): Promise<readonly string[]> {
    return this.#engine.list(signal);
  }

  inspect(name: string, signal: AbortSignal): Promise<Instance | undefined> {
    return this.#engine.inspect(name, signal);
  }

  /**
   * The container with the name of the module. One that was created for the module and was renamed since gets its name
   * back: beside another one it would keep running as the same module. Unavailable when another container has the name.
   */
  async find(query: InstanceQuery, signal: AbortSignal): Promise<Instance | undefined> {
    const engine = this.#engine;
    const { name } = query;
    const container = await engine.inspect(name, signal);
    if (container?.ours === true) return container;
    const renamed = await engine.findRenamed(query, signal);
    if (renamed === undefined) return container;
    if (container !== undefined) {
      const text = `container ${quoted(renamed.name)} is that of module ${quoted(name)}, and another container has its name: remove that one, or rename it`;
      throw new ServiceError('Unavailable', text);
    }
    await engine.rename(renamed.id, name, signal);
    this.#log.warn('container renamed back', { module: name, container: renamed.name });
    return engine.inspect(name, signal);
  }

  findParked(query: ParkedQuery, signal: AbortSignal): Promise<Instance | undefined> {
    return this.#engine.findParked(query, signal);
  }

  park({ id, name }: ParkedQuery, signal: AbortSignal): Promise<void> {
    return this.#engine.rename(id, parkedName({ id, name }), signal);
  }

  unpark({ id, name }: ParkedQuery, signal: AbortSignal): Promise<void> {
    return this.#engine.rename(id, name, signal);
  }

  async keep({ id, name }: ParkedQuery, signal: AbortSignal): Promise<void> {
    try {
      await this.#engine.tagImageOf(id, keptTag(name), signal);
    } catch (error) {
      // engines since version 29 have no record of an image whose tag has moved; its containers start all the same
      if (!isServiceError(error, 'NotFound')) throw error;
    }
  }

  release(name: string, signal: AbortSignal): Promise<void> {
    return this.#engine.untag(keptTag(name), signal);
  }

  keptNames(signal: AbortSignal): Promise<readonly string[]> {
    return this.#engine.tagsIn(keptRepository, signal);
  }

  stop(id: string, timeoutS: number | undefined, signal: AbortSignal): Promise<void> {
    return this.#engine.stop(id, timeoutS, signal);
  }

  remove(id: string, signal: AbortSignal): Promise<void> {
    return this.#engine.remove(id, signal);
  }

  unpause(id: string, signal: AbortSignal): Promise<void> {
    return this.#engine.unpause(id, signal);
  }

  disableAutoRestart(id: string, signal: AbortSignal): Promise<void> {
    return this.#engine.removeRestartPolicy(id, signal);
  }

  log(name: string, request: LogRequest, signal: AbortSignal): Promise<ModuleLog> {
    return this.#engine.log(name, request, signal);
  }

  parkedLog(query: ParkedQuery, request: LogRequest, signal: AbortSignal): Promise<ModuleLog> {
    return this.#engine.log(parkedName(query), request, signal);
  }

  async watch(
    signal: AbortSignal,
    onEnd?: (end: InstanceEnd) => void,
  ): Promise<AsyncIterable<string>> {
    return moduleNames(await this.#engine.listen(signal, onEnd));
  }

  ping(signal: AbortSignal): Promise<void> {
    return this.#engine.ping(signal);
  }

  appeared(signal: AbortSignal): Promise<void> {
    return this.#engine.appeared(signal);
  }
}

function parkedName({ id, name }: ParkedQuery): string {
  return `${name}.parked-${id.slice(0, 12)}`;
}

/** The names of containers, of parked ones those of their modules. */
async function* moduleNames(names: AsyncIterable<string>): AsyncGenerator<string> {
  for await (const name of names) yield parkedPattern.exec(name)?.[1] ?? name;
}
