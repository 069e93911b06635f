import type { PropertySet } from './properties.ts';

/** SHA-256 of what each property of an object shows, by its name. */
export type ShownObject = ReadonlyMap<string, string>;

/** The same of all objects of a service, by their paths. */
export type Shown = ReadonlyMap<string, ShownObject>;

/** The properties that show something else than before; all of them when nobody knows what they showed. */
export function changedSince(
  before: ShownObject | undefined,
  properties: PropertySet,
): readonly string[] {
  const now = [...properties.digests()];
  return now.filter(([name, digest]) => before?.get(name) !== digest).map(([name]) => name);
}
