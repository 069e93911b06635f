import { ServiceError } from '../../errors.ts';
import { quoted } from '../../quoted.ts';
import type { Log } from '../../service/log/log.ts';
import type {
  EngineVersion,
  Instance,
  InstanceQuery,
  LogRequest,
  ModuleLog,
  ModuleType,
} from '../supervisor/module-type.ts';
import type { ContainerEngine } from './engine/container-engine.ts';

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

  watch(signal: AbortSignal): Promise<AsyncIterable<string>> {
    return this.#engine.listen(signal);
  }

  appeared(signal: AbortSignal): Promise<void> {
    return this.#engine.appeared(signal);
  }
}
