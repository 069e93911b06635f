import { Ajv } from 'ajv';
import standalone from 'ajv/dist/standalone/index.js';
import { type Schema, validatorOptions } from './schema-validator.ts';

/** The text of a CommonJS module that replaces `schema-validator.ts` for these schemas. */
export function standaloneValidators(schemas: readonly Schema[]): string {
  const ajv = new Ajv({ ...validatorOptions, schemas: [...schemas], code: { source: true } });
  const names = Object.fromEntries(schemas.map(({ $id }, index) => [`validate${index}`, $id]));
  return `${standalone.default(ajv, names)}
const validators = new Map(${JSON.stringify(Object.entries(names).map(([name, id]) => [id, name]))});
exports.compile = ({ $id }) => {
  const validate = exports[validators.get($id)];
  if (validate === undefined) throw new TypeError(\`no validator was built for \${$id}\`);
  return (value) => (validate(value) ? [] : validate.errors);
};
`;
}
