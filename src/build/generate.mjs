// Writes every file of the repository that is derived from the definitions in src.
// usage: node src/build/generate.mjs [--check]
//   --check  writes nothing, and fails when a file is stale compared with the last compilation
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { compile } from './build.mjs';
import { root, runMain } from './setup.mjs';
import { configurationSchema, importCompiled, services } from './steps/compiled.mjs';
import { requireNode } from './steps/node-version.mjs';

/** The input of the generators of `derived-files.ts`. */
async function derivedSources() {
  const { interfaceXml, introspectionXml } = await importCompiled('dbus/introspect');
  const { wireNameOf: errorName } = await importCompiled('dbus/wire/wire-errors');
  const { idRule, moduleRule } = await importCompiled('ids');
  const schemas = {};
  for (const name of services) {
    const schema = await configurationSchema(name);
    if (schema !== undefined) schemas[name] = schema;
  }
  const introspect = (...of) => introspectionXml([interfaceXml(...of)]);
  return { schemas, introspect, rules: { errorName, idRule, moduleRule } };
}

/** The expected derived files, and existing ones that are obsolete. */
async function plan() {
  const { derivedFiles, derivedFolders } = await importCompiled('build/derived/derived-files');
  const files = derivedFiles(await derivedSources());
  const obsolete = derivedFolders
    .filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) => readdirSync(join(root, folder)).map((name) => `${folder}/${name}`))
    .filter((path) => !files.has(path));
  return { files, obsolete };
}

function isCurrent(path, text) {
  return existsSync(join(root, path)) && readFileSync(join(root, path), 'utf8') === text;
}

async function check() {
  const { files, obsolete } = await plan();
  const stale = [...files].filter(([path, text]) => !isCurrent(path, text)).map(([path]) => path);
  if (stale.length + obsolete.length === 0) return;
  throw new Error(`stale, run npm run generate: ${[...stale, ...obsolete].join(' ')}`);
}

async function generate() {
  await compile();
  const { files, obsolete } = await plan();
  for (const path of obsolete) rmSync(join(root, path));
  for (const [path, text] of files) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  console.log(`${files.size} files are up to date`);
}

requireNode();
runMain(process.argv.includes('--check') ? check : generate);
