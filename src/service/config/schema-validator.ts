/**
 * JSON schemas at run time. Bundles replace this module by one whose `compile` returns validators that were
 * generated when they were built (`schema-standalone.ts`), so that no process compiles a schema to start.
 */
import { Ajv } from 'ajv';
import type { Validate } from './schema-errors.ts';
import { textValues } from './schema-keys.ts';

/** A JSON schema (draft 7). Its `$id` is how a bundle finds the validator made for it. */
export interface Schema {
  readonly $id: string;
  readonly [keyword: string]: unknown;
}

const keywords: string[] = [textValues];

/** How schemas are understood, at run time and at build time: every error, defaults filled in, no unknown keywords. */
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

/** A function that lists everything in a value that does not fit the schema, and fills in its defaults. */
export function compile(schema: Schema): Validate {
  const validate = new Ajv(validatorOptions).compile(schema);
  return (value) => (validate(value) ? [] : (validate.errors ?? []));
}
