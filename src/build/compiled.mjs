import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from './setup.mjs';

/** The four services, named as their folders are. */
export const services = ['keys', 'certificates', 'identity', 'modules'];

/** Where a module of src is after compilation: `keys/main` in `dist/src/keys/main.js`. */
export const compiled = (module) => join(root, 'dist/src', `${module}.js`);

/** The exports of a compiled module of src. */
export const importCompiled = (module) => import(pathToFileURL(compiled(module)).href);

/** The JSON schema that a service's `config.ts` exports; undefined while it has none. */
export async function schemaOf(service) {
  if (!existsSync(compiled(`${service}/config`))) return undefined;
  const exported = Object.values(await importCompiled(`${service}/config`));
  return exported.find((value) => typeof value === 'object' && value !== null && '$id' in value);
}
