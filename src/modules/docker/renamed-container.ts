import { ServiceError } from '../../errors.ts';
import { quoted } from '../../quoted.ts';
import type { Log } from '../../service/log/log.ts';
import type { Container, ContainerEngine } from './engine.ts';

/** What is needed to find a module's container. */
export interface ContainerSearch {
  readonly name: string;
  readonly engine: Pick<ContainerEngine, 'inspect' | 'findRenamed' | 'rename'>;
  readonly log: Log;
}

/**
 * The container under the name of a module. One that was made for the module and was renamed since gets its name back:
 * beside another one it would go on running as the same module. Unavailable when the name is another's by then.
 */
export async function findContainer(
  { name, engine, log }: ContainerSearch,
  knownId: string | undefined,
  signal: AbortSignal,
): Promise<Container | undefined> {
  const container = await engine.inspect(name, signal);
  if (container?.ours === true) return container;
  const renamed = await engine.findRenamed({ name, knownId }, signal);
  if (renamed === undefined) return container;
  if (container !== undefined) {
    const text = `container ${quoted(renamed.name)} is that of module ${quoted(name)}, and another container has its name: remove that one, or rename it`;
    throw new ServiceError('Unavailable', text);
  }
  await engine.rename(renamed.id, name, signal);
  log.warn('container renamed back', { module: name, container: renamed.name });
  return engine.inspect(name, signal);
}
