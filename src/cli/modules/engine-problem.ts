import type { Description } from '../description.ts';
import { isRecord } from './spec/json.ts';

/** States in which a module has a container that a reachable engine reports. */
const reported: readonly unknown[] = ['running', 'unknown'];

/**
 * Why the use of no module is reported, undefined when there is none to report: the engine is away, which a module may
 * notice before the Module Runtime does, and a request before both.
 */
export function engineProblem({
  properties,
  objects,
  lastError,
}: Pick<Description, 'properties' | 'objects' | 'lastError'>): string | undefined {
  const engine = properties['Engine'];
  const isReachable = isRecord(engine) && engine['reachable'] === true;
  const isMissing = Object.values(objects).some(({ State: state }) => reported.includes(state));
  if (isReachable && !isMissing) return undefined;
  return (
    lastError || (isReachable ? 'the container engine does not respond' : 'no container engine')
  );
}
