import type { PropertySet } from './properties.ts';

/** SHA-256 of what each property of an object shows, by its name, and of all of them together under ``. */
export type ShownObject = ReadonlyMap<string, string>;

/** The same of all objects of a service, by their paths. */
export type Shown = ReadonlyMap<string, ShownObject>;

const together = '';

/** What an object shows at present. */
export function digestsOf(properties: PropertySet): ShownObject {
  const names = properties.cached();
  const each = names.map((name) => [name, properties.digest([name])] as const);
  return new Map([[together, properties.digest(names)], ...each]);
}

/** The properties that show something else than before; all of them when nobody knows what they showed. */
export function changedSince(
  before: ShownObject | undefined,
  properties: PropertySet,
): readonly string[] {
  const names = properties.cached();
  if (before === undefined) return names;
  // most objects are as they were, and their service is waited for
  if (before.get(together) === properties.digest(names)) return [];
  return names.filter((name) => before.get(name) !== properties.digest([name]));
}
