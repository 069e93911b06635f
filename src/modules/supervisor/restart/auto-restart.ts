/**
 * An engine restarts instances without a check of their mounts, which precedes each start by a supervisor: its restart
 * policy is removed from every instance of ours.
 */
import { describeError } from '../../../errors.ts';
import type { Log } from '../../../service/log/log.ts';
import { EngineUnreachable, type Instance, type ModuleType } from '../module-type.ts';

/** Dependencies of an `AutoRestart`. */
export interface AutoRestartOptions {
  readonly name: string;
  readonly type: Pick<ModuleType, 'disableAutoRestart'>;
  readonly now: () => Date;
  readonly log: Log;
}

/** The shortest time between two attempts for one instance: an engine may ignore it, and another client may undo it. */
const pauseMs = 60_000;

/** Removes the engine's restart policy from the instance of a module. */
export class AutoRestart {
  readonly #options: AutoRestartOptions;
  /** The instance whose restart policy was removed last, and when. */
  #disabled: { readonly id: string; readonly at: number } | undefined;
  /** The instance of which that failed. */
  #failedId = '';

  constructor(options: AutoRestartOptions) {
    this.#options = options;
  }

  /** Returns whether the engine may still start the instance: then the next observation tries again. */
  async disable(instance: Instance | undefined, signal: AbortSignal): Promise<boolean> {
    const { type, now, log, name } = this.#options;
    if (instance?.ours !== true) return false;
    const { autoRestarts, id } = instance;
    if (!autoRestarts) {
      this.#disabled = undefined;
      return false;
    }
    if (this.#isPausing(id)) return true;
    try {
      await type.disableAutoRestart(id, signal);
      this.#disabled = { id, at: now().getTime() };
      return false;
    } catch (error) {
      signal.throwIfAborted();
      if (this.#failedId !== id) {
        log.warn('restart policy not removed', { module: name, error: describeError(error) });
      }
      this.#failedId = id;
      return true;
    }
  }

  #isPausing(id: string): boolean {
    if (this.#disabled?.id !== id) return false;
    const elapsedMs = this.#options.now().getTime() - this.#disabled.at;
    return elapsedMs >= 0 && elapsedMs < pauseMs;
  }
}

/** Where orphaned instances are looked up. */
export interface OrphanOptions {
  readonly type: Pick<ModuleType, 'list' | 'inspect' | 'disableAutoRestart'>;
  /** Whether a module of this name exists, whose supervisor is responsible for the instance. */
  readonly isKnown: (name: string) => boolean;
  readonly log: Log;
}

/**
 * Removes the engine's restart policy from instances of ours that have no module, such as one whose record is damaged.
 * Never rejects.
 */
export async function disarmOrphans(options: OrphanOptions, signal: AbortSignal): Promise<void> {
  const { type, isKnown, log } = options;
  try {
    for (const name of await type.list(signal)) {
      if (!isKnown(name)) await disarm(name, options, signal);
      signal.throwIfAborted();
    }
  } catch (error) {
    // the engine was lost, or the service stops: they are listed again when it is back
    log.debug('orphaned containers not listed', { error: describeError(error) });
  }
}

/** Removes the engine's restart policy from an instance of ours that has no module. Never rejects. */
export async function disarm(
  name: string,
  { type, log }: Pick<OrphanOptions, 'type' | 'log'>,
  signal: AbortSignal,
): Promise<void> {
  try {
    const instance = await type.inspect(name, signal);
    if (instance?.ours !== true || !instance.autoRestarts) return;
    await type.disableAutoRestart(instance.id, signal);
    log.warn('restart policy of orphaned container removed', { container: name });
  } catch (error) {
    // the engine was lost, or the service stops: they are listed again when it is back
    if (signal.aborted || error instanceof EngineUnreachable) return;
    const fields = { container: name, error: describeError(error) };
    log.warn('restart policy of orphaned container not removed', fields);
  }
}
