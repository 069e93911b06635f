import type { Properties } from '../dbus/definition.ts';
import { healthOf } from '../dbus/server/health.ts';
import { microseconds } from '../dbus/time.ts';
import type { keyInterface, keysInterface } from '../interfaces/keys.ts';
import { withoutSecrets } from '../quoted.ts';
import type { KeyInfo } from './store.ts';

/** Problems of keys; texts are '' when there is none. */
export interface KeyProblems {
  readonly disk: string;
  /** Why some keys may be missing. */
  readonly failure: string;
  readonly keys: Iterable<KeyInfo>;
}

/** The properties of org.iotedge.Keys1.Key. */
export function keyProperties(key: KeyInfo): Properties<typeof keyInterface> {
  return {
    KeyId: key.id,
    Kind: key.kind,
    Algorithm: key.algorithm ?? '',
    Usages: key.usages,
    Store: key.store,
    Origin: key.origin,
    Exportable: key.exportable,
    State: key.state,
    Created: microseconds(key.created),
  };
}

/** The changing properties of org.iotedge.Keys1. */
export function managerProperties({
  disk,
  failure,
  keys,
}: KeyProblems): Omit<Properties<typeof keysInterface>, 'Version'> {
  const damaged = [...keys]
    .filter(({ state }) => state !== 'ok')
    // the failure of a whole store is reported once
    .filter(({ reason = '' }) => reason === '' || !failure.includes(reason))
    .map(({ id, state, reason }) => `key "${id}" is ${state}: ${reason ?? ''}`);
  const problems = [disk, failure, ...damaged].filter((text) => text !== '');
  return healthOf([withoutSecrets(problems.join('; '))]);
}
