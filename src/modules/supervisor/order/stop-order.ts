import { describeError } from '../../../errors.ts';
import type { Log } from '../../../service/log/log.ts';
import type { ModuleType } from '../module-type.ts';

/** An instance that runs when the service stops. */
export interface RunningInstance {
  readonly name: string;
  readonly id: string;
  readonly startedAt: Date;
  /** How long it has to end by itself, undefined for the default of engines. */
  readonly stopTimeoutS: number | undefined;
}

/** Dependencies of `stopInOrder`. */
export interface StopOptions {
  readonly type: Pick<ModuleType, 'stop'>;
  readonly log: Log;
  /** The longest that it takes; what runs then is left running. */
  readonly limitMs?: number | undefined;
}

/** Shorter than TimeoutStopSec= of the unit, together with the end of the calls. */
export const longestStopMs = 70_000;
const defaultTimeoutS = 10;

/** The instances, the one first that started first. */
export function inStartOrder(instances: readonly RunningInstance[]): readonly RunningInstance[] {
  return instances.toSorted((one, other) => one.startedAt.getTime() - other.startedAt.getTime());
}

/**
 * Stops instances one after the other in the reverse order of their starts. Each has its share of the time to end by
 * itself. Never rejects.
 */
export async function stopInOrder(
  instances: readonly RunningInstance[],
  { type, log, limitMs = longestStopMs }: StopOptions,
): Promise<void> {
  const signal = AbortSignal.timeout(limitMs);
  const endMs = performance.now() + limitMs;
  const order = inStartOrder(instances).toReversed();
  for (const [index, { id, name, stopTimeoutS = defaultTimeoutS }] of order.entries()) {
    const shareS = (endMs - performance.now()) / 1000 / (order.length - index);
    const timeoutS = Math.min(stopTimeoutS, Math.max(1, Math.floor(shareS)));
    try {
      await type.stop(id, timeoutS, signal);
      log.info('module stopped with the service', { module: name });
    } catch (error) {
      log.warn('module left running', { module: name, error: describeError(error) });
    }
  }
}
