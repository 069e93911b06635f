import { describeError } from '../errors.ts';
import type { Log } from '../service/log.ts';
import type { Container, ContainerEngine } from './engine.ts';

/** What is needed to take a restart policy away. */
export interface EngineRestartsOptions {
  readonly name: string;
  readonly engine: Pick<ContainerEngine, 'keepStopped'>;
  readonly log: Log;
}

/** Takes the engine's restart policy from a module's container: an engine starts it when nobody has looked at what it mounts. */
export class EngineRestarts {
  readonly #options: EngineRestartsOptions;
  /** The container whose restart policy was taken away, and the one of which that failed. */
  #disarmed = '';
  #armed = '';

  constructor(options: EngineRestartsOptions) {
    this.#options = options;
  }

  /** Returns whether the engine would still start the container: then the next look tries again. */
  async takeFrom(container: Container | undefined, signal: AbortSignal): Promise<boolean> {
    const { engine, log, name } = this.#options;
    if (container?.ours !== true) return false;
    const { engineRestarts, id } = container;
    if (!engineRestarts) this.#disarmed = ''; // it may be given one again
    if (!engineRestarts || this.#disarmed === id) return false;
    try {
      await engine.keepStopped(id, signal);
      this.#disarmed = id;
      return false;
    } catch (error) {
      signal.throwIfAborted();
      if (this.#armed !== id) {
        log.warn('restart policy not taken away', { module: name, error: describeError(error) });
      }
      this.#armed = id;
      return true;
    }
  }
}
