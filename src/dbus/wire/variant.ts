import { Variant } from 'dbus-next/lib/variant.js';

export { Variant };

/** A variant of the given signature, one complete type, and value. */
export function variant(signature: string, value: unknown): Variant {
  return new Variant(signature, value);
}
