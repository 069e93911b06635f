/**
 * Names by which modules and the device are known on the network of modules. Each belongs to one of them:
 * whoever may run one harmless module must not be taken for another.
 */
import { ServiceError } from '../errors.ts';
import { isId, type ModuleName } from '../ids.ts';
import type { ModulesConfig } from './config.ts';
import { aliasesOf } from './container-body.ts';
import { certificateIdOf } from './module-certificate.ts';
import type { ModuleSource } from './prepare.ts';

type NamesConfig = Pick<ModulesConfig, 'agent' | 'hostname' | 'serverNames'>;

// The engine's rule for names of containers.
const CONTAINER = /^[A-Za-z0-9][A-Za-z0-9_.-]+$/;

/** True for names that a resolver takes for the same. */
export function sameName(left: string, right: string): boolean {
  return plain(left) === plain(right);
}

function plain(name: string): string {
  return name.toLowerCase().replace(/\.$/, '');
}

/** Whether clients reach the device through this module, so that it may have the device's name. */
export function isFront(name: ModuleName, { serverNames }: Pick<NamesConfig, 'serverNames'>) {
  return name === 'edgeHub' || serverNames.includes(name);
}

/** InvalidArgs for a name that no container, or no certificate of a module, can have. */
export function refuseUnusable(name: ModuleName): void {
  if (CONTAINER.test(name) && isId(certificateIdOf(name, 'identity'))) return;
  throw new ServiceError('InvalidArgs', `${JSON.stringify(name)} is no name for a container`);
}

/** AlreadyExists for a module that would be known by a name of another one or of the device. */
export function refuseTaken(
  source: ModuleSource,
  others: readonly ModuleSource[],
  config: NamesConfig,
): void {
  const { name } = source;
  const reserved = ['edgeAgent', 'edgeHub', ...config.serverNames, config.agent?.name ?? ''];
  const taken = [
    ...reserved.filter((one) => one !== name),
    ...(isFront(name, config) ? [] : [config.hostname]),
    ...others.filter((other) => other.name !== name).flatMap(namesOf),
  ].map(plain);
  const claimed = namesOf(source).find((one) => taken.includes(plain(one)));
  if (claimed === undefined) return;
  const text = `module ${JSON.stringify(name)} cannot be known as ${JSON.stringify(claimed)}, which is taken`;
  throw new ServiceError('AlreadyExists', text);
}

/** What the engine resolves to a module's container. */
function namesOf({ name, settings: { createOptions } }: ModuleSource): readonly string[] {
  const { Hostname: hostname } = { ...createOptions };
  const own = typeof hostname === 'string' && hostname !== '' ? [hostname] : [];
  return [name, ...aliasesOf(createOptions), ...own];
}
