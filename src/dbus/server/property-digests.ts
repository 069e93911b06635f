import type { PropertySet } from './properties.ts';

/**
 * SHA-256 of all values of an object together, then of the value of each property, shortened: one text, as that is
 * split for the few objects only that have changed.
 */
export type ObjectDigests = string;

/** The digests of all objects of a service, by their paths. */
export type PropertyDigests = ReadonlyMap<string, ObjectDigests>;

const shortLength = 16;

/** The digests of the current values of an object that clients may cache. */
export function digestsOf(properties: PropertySet): ObjectDigests {
  const names = properties.cached();
  return [properties.digest(names), ...names.map((name) => digestOf(properties, name))].join(' ');
}

/** The properties whose values differ from before; all of them when the previous values are unknown. */
export function changedSince(
  before: ObjectDigests | undefined,
  properties: PropertySet,
): readonly string[] {
  const names = properties.cached();
  if (before === undefined) return names;
  // most objects are unchanged, and clients are waiting for the service
  if (before.startsWith(properties.digest(names))) return [];
  const [, ...each] = before.split(' ');
  return names.filter((name, at) => each[at] !== digestOf(properties, name));
}

function digestOf(properties: PropertySet, name: string): string {
  return properties.digest([name]).slice(0, shortLength);
}
