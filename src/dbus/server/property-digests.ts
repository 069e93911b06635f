import type { PropertySet } from './properties.ts';

/** SHA-256 of the value of each property of an object by its name, and of all values together under ``. */
export type ObjectDigests = ReadonlyMap<string, string>;

/** The digests of all objects of a service, by their paths. */
export type PropertyDigests = ReadonlyMap<string, ObjectDigests>;

const together = '';

/** The digests of the current values of an object. */
export function digestsOf(properties: PropertySet): ObjectDigests {
  const names = properties.cached();
  const each = names.map((name) => [name, properties.digest([name])] as const);
  return new Map([[together, properties.digest(names)], ...each]);
}

/** The properties whose values differ from before; all of them when the previous values are unknown. */
export function changedSince(
  before: ObjectDigests | undefined,
  properties: PropertySet,
): readonly string[] {
  const names = properties.cached();
  if (before === undefined) return names;
  // most objects are unchanged, and clients are waiting for the service
  if (before.get(together) === properties.digest(names)) return [];
  return names.filter((name) => before.get(name) !== properties.digest([name]));
}
