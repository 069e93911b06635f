import { describeError } from '../../errors.ts';
import type { Log } from '../../service/log/log.ts';
import type { ContainerEngine } from './engine.ts';

/** What is needed to find containers of ours that no module stands for. */
export interface StrayParts {
  readonly engine: Pick<ContainerEngine, 'list' | 'inspect' | 'keepStopped'>;
  /** Whether a module of this name looks after its container. */
  readonly isKept: (name: string) => boolean;
  readonly log: Log;
}

/**
 * Takes the engine's restart policy from containers of ours that no module looks after, such as one whose
 * record is damaged: an engine would start them when nobody has looked at what they mount. Never rejects.
 */
export async function disarmStrays(parts: StrayParts, signal: AbortSignal): Promise<void> {
  const { engine, isKept, log } = parts;
  try {
    for (const name of await engine.list(signal)) {
      if (!isKept(name)) await disarmStray(name, parts, signal);
    }
  } catch (error) {
    // the engine went away, or the service stops: they are looked for again when it is back
    log.debug('orphaned containers not listed', { error: describeError(error) });
  }
}

/** One that fails leaves the others none the worse. */
async function disarmStray(
  name: string,
  { engine, log }: StrayParts,
  signal: AbortSignal,
): Promise<void> {
  try {
    const container = await engine.inspect(name, signal);
    if (container?.ours !== true || !container.engineRestarts) return;
    await engine.keepStopped(container.id, signal);
    log.warn('restart policy of orphaned container removed', { container: name });
  } catch (error) {
    signal.throwIfAborted();
    const fields = { container: name, error: describeError(error) };
    log.warn('restart policy of orphaned container not removed', fields);
  }
}
