import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from '../setup.mjs';

/** The four services, by the names of their folders. */
export const services = ['keys', 'certificates', 'identity', 'modules'];

/** The compiled file of a module of src: `dist/src/keys/main.js` for `keys/main`. */
export const compiled = (module) => join(root, 'dist/src', `${module}.js`);

/** The exports of a compiled module of src. */
export const importCompiled = (module) => import(pathToFileURL(compiled(module)).href);

const isSchema = (value) => typeof value === 'object' && value !== null && '$id' in value;

/** The JSON schema of a service's configuration file; undefined when it has none. */
export async function configurationSchema(service) {
  const module = `${service}/config/config`;
  if (!existsSync(compiled(module))) return undefined;
  return Object.values(await importCompiled(module)).find(isSchema);
}

/** Every JSON schema of a service: that of its configuration, and those in its `*-schema.ts`. */
export async function schemasOf(service) {
  const names = readdirSync(join(root, 'dist/src', service), { recursive: true }).filter((name) =>
    /(^config\/config|-schema)\.js$/.test(name),
  );
  const modules = names.map((name) => importCompiled(`${service}/${name.replace(/\.js$/, '')}`));
  return (await Promise.all(modules)).flatMap((exported) =>
    Object.values(exported).filter(isSchema),
  );
}
