/** What is removed before a disk is copied: facts in, steps or a refusal out. */
import type { ServiceDefinition } from '../../dbus/definition.ts';
import { textOf } from '../description.ts';
import { serviceUnit, socketApis, socketUnit, timerUnits } from '../systemd/units.ts';
import { type ModuleContainer, runs } from './engine.ts';

/** A key as the Keys service describes it. */
export type Key = readonly [id: string, properties: Readonly<Record<string, unknown>>];

/** Why nothing can be removed; undefined when nothing stands against it. */
export function refusalOf(
  containers: readonly ModuleContainer[],
  { named, inToken }: { readonly named: readonly string[]; readonly inToken: readonly string[] },
): string | undefined {
  const running = containers.filter(runs).map(({ module }) => module);
  if (running.length > 0) {
    return `modules run: ${running.join(', ')}; stop them first, with 'docker stop' after 'systemctl stop iotedge-modules.service'`;
  }
  const unknown = named.filter((id) => !inToken.includes(id));
  if (unknown.length === 0) return undefined;
  const known = inToken.length > 0 ? `, there is: ${inToken.join(', ')}` : '';
  return `no key in a token that can be deleted: ${unknown.join(', ')}${known}`;
}

/** The keys in tokens that the Keys service made or imported: a preloaded one is another program's. */
export function ownTokenKeys(keys: readonly Key[]): readonly string[] {
  return keys
    .filter(([, key]) => textOf(key['Store']) === 'pkcs11' && textOf(key['Origin']) !== 'preloaded')
    .map(([id]) => id);
}

/** All units, in the order in which they are stopped: first what would start others. */
export function unitsToStop(services: readonly ServiceDefinition[]): readonly string[] {
  const callersFirst = services.toReversed().map(serviceUnit);
  return [...timerUnits, ...socketApis.map(socketUnit), ...callersFirst];
}
