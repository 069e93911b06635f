/**
 * JSON schemas at run time. Bundles replace this module by one with the same exports and validators that
 * were generated when they were built (`schema-standalone.ts`), so that no process compiles a schema to start.
 */
import { Ajv } from 'ajv';
import type { Validate } from './schema-errors.ts';
import { type Schema, validatorOptions } from './schema-options.ts';

/** A function that lists everything in a value that does not fit the schema, and fills in its defaults. */
export function compile(schema: Schema): Validate {
  const validate = new Ajv(validatorOptions).compile(schema);
  return (value) => (validate(value) ? [] : (validate.errors ?? []));
}
