/**
 * JSON schemas at run time. Bundles replace this module by one whose `compile` returns validators
 * generated at build time (`schema-standalone.ts`), so that no process compiles a schema to start.
 */
import { Ajv } from 'ajv';
import type { Validate } from './schema-errors.ts';
import { textValues } from './schema-keys.ts';

/** A JSON schema (draft 7). A bundle finds the generated validator by its `$id`. */
export interface Schema {
  readonly $id: string;
  readonly [keyword: string]: unknown;
}

const keywords: string[] = [textValues];

/** How schemas are compiled, at run time and at build time: all errors, defaults filled in, no unknown keywords. */
export const validatorOptions = {
  allErrors: true,
  useDefaults: true,
  discriminator: true,
  strict: true,
  strictTypes: false,
  strictRequired: false,
  allowUnionTypes: true,
  keywords,
} as const;

/** Validators by their schema: tests read many configurations, and a compilation takes 0.1 s. */
const compiled = new WeakMap<Schema, Validate>();

/** Returns a function that lists every mismatch between a value and the schema, and fills in the defaults. */
export function compile(schema: Schema): Validate {
  const known = compiled.get(schema);
  if (known !== undefined) return known;
  const validate = new Ajv(validatorOptions).compile(schema);
  const all: Validate = (value) => (validate(value) ? [] : (validate.errors ?? []));
  compiled.set(schema, all);
  return all;
}
