// Packs each executable into one CommonJS file, without whose lookups a service starts much sooner.
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { root } from './setup.mjs';

const services = ['keys', 'certificates', 'identity', 'modules'];

/** Every executable: its name, its entry point below src, and the services whose configuration it reads. */
const executables = [
  ...services.map((name) => ({ name: `iotedge-${name}`, entry: `${name}/main`, configs: [name] })),
  { name: 'iotedgectl', entry: 'cli/main', configs: services },
];

const compiled = (module) => join(root, 'dist/src', `${module}.js`);

const importCompiled = (module) => import(pathToFileURL(compiled(module)).href);

/** The schemas that the services' `config.ts` export. */
async function schemasOf(configs) {
  const modules = await Promise.all(configs.map((name) => importCompiled(`${name}/config`)));
  return modules
    .flatMap((exported) => Object.values(exported))
    .filter(
      (value) => typeof value === 'object' && value !== null && typeof value.$id === 'string',
    );
}

/** Puts validators made now where the module that compiles schemas at run time was. */
function generatedValidators(configs) {
  const namespace = 'generated';
  return {
    name: 'generated-validators',
    setup(bundle) {
      bundle.onResolve({ filter: /\/schema-validator\.js$/ }, ({ path }) => ({ path, namespace }));
      bundle.onLoad({ filter: /.*/, namespace }, async () => {
        const { standaloneValidators } = await importCompiled('service/schema-standalone');
        const contents = standaloneValidators(await schemasOf(configs));
        return { contents, loader: 'js', resolveDir: root };
      });
    },
  };
}

/** A file that a running process may have mapped is replaced, never written into. */
function replaceFile(path, contents, mode) {
  if (existsSync(path) && Buffer.compare(readFileSync(path), contents) === 0) return;
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, contents, { mode });
  renameSync(temporary, path);
}

async function bundle({ name, entry, configs }, version) {
  const outdir = join(root, 'dist/bin');
  const { outputFiles } = await build({
    entryPoints: [{ in: compiled(entry), out: name }],
    outdir,
    outExtension: { '.js': '.cjs' },
    write: false,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    banner: { js: '#!/usr/bin/env node' },
    inject: [join(root, 'src/build/import-meta.mjs')],
    define: {
      'import.meta.url': 'importMetaUrl',
      'import.meta.dirname': '__dirname',
      'import.meta.filename': '__filename',
      'process.env.IOTEDGE_VERSION': JSON.stringify(version),
    },
    loader: { '.node': 'copy' },
    assetNames: '[name]',
    external: ['usocket', 'x11', 'cpu-features'],
    plugins: [generatedValidators(configs)],
    logLevel: 'warning',
  });
  mkdirSync(outdir, { recursive: true });
  for (const { path, contents } of outputFiles) {
    replaceFile(join(outdir, basename(path)), contents, path.endsWith('.cjs') ? 0o755 : 0o644);
  }
}

/** Writes the executables into dist/bin. */
export async function bundleAll() {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const present = executables.filter(({ entry }) => existsSync(compiled(entry)));
  await Promise.all(present.map((executable) => bundle(executable, version)));
}
