import { ServiceError } from '../errors.ts';
import type { KeyId } from '../ids.ts';
import type { KeyInfo } from './store.ts';

/** The failure for an id that no store holds. */
export function notFound(id: KeyId): ServiceError {
  return new ServiceError('NotFound', `no key "${id}"`);
}

/** The failure for an operation that a key, or its store, does not support. */
export function notSupported(reason: string): ServiceError {
  return new ServiceError('NotSupported', reason);
}

/** The failure of using a key that is damaged or unavailable. */
export function unusable({ id, state, reason }: KeyInfo): ServiceError {
  return new ServiceError('Unavailable', `key "${id}" is ${state}: ${reason ?? 'unknown reason'}`);
}
