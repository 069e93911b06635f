import { describeError } from '../../errors.ts';
import type { Log } from '../../service/log/log.ts';
import type { Container, ContainerEngine } from './engine.ts';

/** What is needed to take a restart policy away. */
export interface EngineRestartsOptions {
  readonly name: string;
  readonly engine: Pick<ContainerEngine, 'keepStopped'>;
  readonly now: () => Date;
  readonly log: Log;
}

/** How often at most it is taken from one container: an engine may ignore it, and another client may give it back. */
const pauseMs = 60_000;

/** Takes the engine's restart policy from a module's container: an engine starts it without any check of what it mounts. */
export class EngineRestarts {
  readonly #options: EngineRestartsOptions;
  /** The container whose restart policy was taken away last, and when. */
  #taken: { readonly id: string; readonly at: number } | undefined;
  /** The container of which that failed. */
  #refused = '';

  constructor(options: EngineRestartsOptions) {
    this.#options = options;
  }

  /** Returns whether the engine may still start the container: then the next look tries again. */
  async takeFrom(container: Container | undefined, signal: AbortSignal): Promise<boolean> {
    const { engine, now, log, name } = this.#options;
    if (container?.ours !== true) return false;
    const { engineRestarts, id } = container;
    if (!engineRestarts) {
      this.#taken = undefined;
      return false;
    }
    if (this.#isPausing(id)) return true;
    try {
      await engine.keepStopped(id, signal);
      this.#taken = { id, at: now().getTime() };
      return false;
    } catch (error) {
      signal.throwIfAborted();
      if (this.#refused !== id) {
        log.warn('restart policy not removed', { module: name, error: describeError(error) });
      }
      this.#refused = id;
      return true;
    }
  }

  #isPausing(id: string): boolean {
    if (this.#taken?.id !== id) return false;
    const elapsedMs = this.#options.now().getTime() - this.#taken.at;
    return elapsedMs >= 0 && elapsedMs < pauseMs;
  }
}
