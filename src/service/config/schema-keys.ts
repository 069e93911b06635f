import type { SettingPath } from './config-problem.ts';

/** Schema keyword of a map: its members are texts as written in the file, whatever type YAML gives them. */
export const textValues = 'textValues';

/**
 * All keys that a schema allows at a path; for a pattern such as `^preloaded_key:`, the most similar key that matches.
 */
export function candidateKeys(schema: unknown, path: SettingPath, key: string): readonly string[] {
  let schemas = alternatives(schema, schema);
  for (const step of path) {
    schemas = schemas.flatMap((one) => alternatives(child(one, step), schema));
  }
  return schemas.flatMap((one) => [
    ...Object.keys(asObject(property(one, 'properties'))),
    ...Object.keys(asObject(property(one, 'patternProperties'))).flatMap((pattern) =>
      likeliestKey(pattern, key),
    ),
  ]);
}

/** The schema itself and every schema that it refers to or combines for the same value. */
function alternatives(schema: unknown, root: unknown): readonly unknown[] {
  if (typeof schema !== 'object' || schema === null) return [];
  const reference = property(schema, '$ref');
  const target =
    typeof reference === 'string' && reference.startsWith('#/')
      ? [valueAt(root, parsePointer(reference.slice(1), root))]
      : [];
  const combined = ['allOf', 'anyOf', 'oneOf'].flatMap((keyword) => {
    const list = property(schema, keyword);
    const schemas: readonly unknown[] = Array.isArray(list) ? list : [];
    return schemas;
  });
  return [schema, ...[...target, ...combined].flatMap((one) => alternatives(one, root))];
}

function child(schema: unknown, step: string | number): unknown {
  if (typeof step === 'number') return property(schema, 'items');
  const named = property(property(schema, 'properties'), step);
  if (named !== undefined) return named;
  for (const [pattern, value] of Object.entries(asObject(property(schema, 'patternProperties')))) {
    if (new RegExp(pattern, 'u').test(step)) return value;
  }
  return property(schema, 'additionalProperties');
}

function likeliestKey(pattern: string, key: string): readonly string[] {
  const prefix = /^\^([A-Za-z0-9_:-]+)/.exec(pattern)?.[1];
  if (prefix === undefined) return [];
  const fixed = prefix.length;
  const lengths = [0, -1, 1, -2, 2].map((difference) => fixed + difference);
  return lengths
    .map((length) => prefix + key.slice(Math.max(0, length)))
    .filter((candidate) => new RegExp(pattern, 'u').test(candidate));
}

/** An own property of a value, or undefined. */
export function property(value: unknown, key: string): unknown {
  return Object.hasOwn(asObject(value), key) ? asObject(value)[key] : undefined;
}

function asObject(value: unknown): Readonly<Record<string, unknown>> {
  return isObject(value) ? value : {};
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

/** The path of a JSON pointer; indexes into lists of the value become numbers. */
export function parsePointer(pointer: string, value: unknown): SettingPath {
  let current = value;
  return pointer
    .split('/')
    .slice(1)
    .map((step) => {
      const key = step.replaceAll('~1', '/').replaceAll('~0', '~');
      const inList = Array.isArray(current);
      current = property(current, key);
      return inList ? Number(key) : key;
    });
}

/** The value at a path, or undefined. */
export function valueAt(value: unknown, path: SettingPath): unknown {
  return path.reduce<unknown>((current, step) => property(current, String(step)), value);
}
