// Packs each executable into one CommonJS file, without whose lookups a service starts much sooner.
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { build, stop } from 'esbuild';
import { root } from './setup.mjs';
import { compiled, importCompiled, schemasOf, services } from './steps/compiled.mjs';

/** Every executable: its name, its entry point below src, and the services whose configuration it reads. */
const executables = [
  ...services.map((name) => ({ name: `iotedge-${name}`, entry: `${name}/main`, configs: [name] })),
  { name: 'iotedgectl', entry: 'cli/main', configs: services },
];

/** Puts validators made now where the module that compiles schemas at run time was. */
function generatedValidators(configs) {
  const namespace = 'generated';
  return {
    name: 'generated-validators',
    setup(bundle) {
      bundle.onResolve({ filter: /\/schema-validator\.js$/ }, ({ path }) => ({ path, namespace }));
      bundle.onLoad({ filter: /.*/, namespace }, async () => {
        const { standaloneValidators } = await importCompiled('service/config/schema-standalone');
        const contents = standaloneValidators((await Promise.all(configs.map(schemasOf))).flat());
        return { contents, loader: 'js', resolveDir: root };
      });
    },
  };
}

/**
 * What dockerode needs for engines reached by SSH and for BuildKit, neither of which is used: half of its load time.
 * And what dbus-next does without where there is BigInt.
 */
const leftOut = /^(jsbi|ssh2|@grpc\/grpc-js|@grpc\/proto-loader|protobufjs)$/;

const withoutUnusedPackages = {
  name: 'without-unused-packages',
  setup(bundle) {
    const namespace = 'left-out';
    bundle.onResolve({ filter: leftOut }, ({ path }) => ({ path, namespace }));
    bundle.onLoad({ filter: /.*/, namespace }, () => ({ contents: 'module.exports = {};' }));
  },
};

/** The logger is wanted after the first answer only: as a text it costs no time before that. */
const loggerAsText = {
  name: 'logger-as-text',
  setup(bundle) {
    const namespace = 'text';
    bundle.onResolve({ filter: /\/winston-logger\.js$/ }, ({ path, resolveDir }) => ({
      path: join(resolveDir, path),
      namespace,
    }));
    bundle.onLoad({ filter: /.*/, namespace }, async ({ path }) => {
      const { outputFiles } = await build({ ...format, entryPoints: [path], write: false });
      const text = JSON.stringify(`(function (exports, require, module) {${outputFiles[0].text}})`);
      const compile = "require('node:vm').runInThisContext";
      return { contents: `${compile}(${text})(exports, require, module);` };
    });
  },
};

/** A file that a running process may have mapped is replaced, never written into. */
function replaceFile(path, contents, mode) {
  if (existsSync(path) && Buffer.compare(readFileSync(path), contents) === 0) return;
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, contents, { mode });
  renameSync(temporary, path);
}

/** What all bundles have in common. */
const format = {
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node20',
  // less to parse, and no comment of a package with a character that doubles all of it in memory; names stay
  minifyWhitespace: true,
  minifySyntax: true,
  lineLimit: 120,
  logLevel: 'warning',
  define: { 'process.env.NODE_ENV': '"production"' }, // or winston brings the colours of its debug output
};

async function bundle({ name, entry, configs }, version) {
  const outdir = join(root, 'dist/bin');
  const { outputFiles } = await build({
    entryPoints: [{ in: compiled(entry), out: name }],
    outdir,
    outExtension: { '.js': '.cjs' },
    write: false,
    ...format,
    banner: { js: '#!/usr/bin/env node' },
    inject: [join(root, 'src/build/steps/import-meta.mjs')],
    define: {
      ...format.define,
      'import.meta.url': 'importMetaUrl',
      'import.meta.dirname': '__dirname',
      'import.meta.filename': '__filename',
      'process.env.IOTEDGE_VERSION': JSON.stringify(version),
    },
    loader: { '.node': 'copy' },
    assetNames: '[name]',
    external: ['usocket', 'x11', 'cpu-features'],
    plugins: [generatedValidators(configs), withoutUnusedPackages, loggerAsText],
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
  await stop(); // its own process would stay as long as this one
}
