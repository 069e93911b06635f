// Bundles each executable into one CommonJS file: a service starts much faster without resolving modules. It is run by
// a launcher of the same name in the folder above, or as a thread of another one.
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { basename, join, relative, resolve } from 'node:path';
import { build, stop } from 'esbuild';
import { root } from './setup.mjs';
import { compiled, importCompiled, schemasOf, services } from './steps/compiled.mjs';

/** Parts of iotedgectl that have bundles of their own: `status` would take half as long again to load them, too. */
const configuration = { name: 'iotedgectl-configuration', entry: 'cli/configuration/check' };
const certificates = {
  name: 'iotedgectl-certificates',
  entry: 'cli/certificates/material/material',
};

/**
 * Every bundle: its name, its entry point below src, the services whose configuration it reads, and the entry point of
 * the launcher where it is a program.
 */
const executables = [
  ...services.map((name) => ({
    name: `iotedge-${name}`,
    entry: `${name}/main`,
    configs: [name],
    launcher: name === 'keys' ? 'launcher/keys-main' : 'launcher/main',
  })),
  { name: 'iotedgectl', entry: 'cli/main', configs: [], launcher: 'launcher/main' },
  { ...configuration, configs: services, launcher: undefined },
  { ...certificates, configs: [], launcher: undefined },
  { name: 'iotedge-tls-worker', entry: 'https/tls-worker', configs: [], launcher: undefined },
  {
    name: 'iotedge-pkcs11',
    entry: 'keys/pkcs11/host/main',
    configs: [],
    launcher: 'launcher/main',
  },
  {
    name: 'iotedge-code-cache',
    entry: 'launcher/cache-maker/main',
    configs: [],
    launcher: 'launcher/main',
  },
];

/** Replaces the module that compiles schemas at run time by validators generated now. */
function generatedValidators(configs) {
  const namespace = 'generated';
  return {
    name: 'generated-validators',
    setup(bundle) {
      // one module, however its importers write its path
      const one = { path: 'schema-validator', namespace };
      bundle.onResolve({ filter: /\/schema-validator\.js$/ }, () => one);
      bundle.onLoad({ filter: /.*/, namespace }, async () => {
        const { standaloneValidators } = await importCompiled('service/config/schema-standalone');
        const contents = standaloneValidators((await Promise.all(configs.map(schemasOf))).flat());
        return { contents, loader: 'js', resolveDir: root };
      });
    },
  };
}

/**
 * Dependencies of dockerode for SSH and BuildKit, neither of which is used, that take half of its load time; and a
 * polyfill of dbus-next for Node without BigInt.
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

/** Embeds the logger as a string, which costs no time at start: it is needed only after the first reply. */
const loggerAsText = (sources) => ({
  name: 'logger-as-text',
  setup(bundle) {
    const namespace = 'text';
    bundle.onResolve({ filter: /\/winston-logger\.js$/ }, ({ path, resolveDir }) => ({
      path: relative(root, join(resolveDir, path)), // the bundle names it
      namespace,
    }));
    bundle.onLoad({ filter: /.*/, namespace }, async ({ path }) => {
      const entryPoints = [resolve(root, path)];
      const { outputFiles, metafile } = await build({ ...format, entryPoints, write: false });
      sources.push(metafile);
      const text = JSON.stringify(`(function (exports, require, module) {${outputFiles[0].text}})`);
      const compile = "require('node:vm').runInThisContext";
      return { contents: `${compile}(${text})(exports, require, module);` };
    });
  },
});

const partsApart = {
  name: 'parts-apart',
  setup(bundle) {
    for (const { name, entry } of [configuration, certificates]) {
      const file = new RegExp(`/${entry.split('/').slice(-2).join('/')}\\.js$`);
      bundle.onResolve({ filter: file }, ({ kind }) =>
        kind === 'dynamic-import' ? { path: `./${name}.cjs`, external: true } : undefined,
      );
    }
  },
};

/** Importing pkcs11js defines a getter for each of its 650 constants, of which none is used: that takes 3 ms. */
const withoutGetters = {
  name: 'without-getters',
  setup(bundle) {
    const namespace = 'without-getters';
    bundle.onResolve({ filter: /^pkcs11js$/ }, ({ path, namespace: importer }) =>
      importer === namespace ? undefined : { path, namespace },
    );
    bundle.onLoad({ filter: /.*/, namespace }, ({ path }) => ({
      contents: `export default require('${path}');`,
      resolveDir: root,
    }));
  },
};

/** Replaces a file by a rename, as a running process may have mapped it. */
function replaceFile(path, contents, mode) {
  if (existsSync(path) && Buffer.compare(readFileSync(path), contents) === 0) return;
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, contents, { mode });
  renameSync(temporary, path);
}

/** Common options of all bundles. */
const format = {
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node20',
  supported: { 'dynamic-import': false }, // it would need a callback for each script that is compiled with its code
  // less to parse, and no comments of packages: one character beyond Latin-1 doubles the memory of the whole text
  minifyWhitespace: true,
  minifySyntax: true,
  lineLimit: 120,
  logLevel: 'warning',
  metafile: true,
  define: { 'process.env.NODE_ENV': '"production"' }, // otherwise winston includes the colours of its debug output
};

const metaOfCommonJs = { 'import.meta.dirname': '__dirname', 'import.meta.filename': '__filename' };

const programs = join(root, 'dist/bin');
const bundles = join(root, 'dist/lib');

const packageFolder = /(?<=^|:)node_modules\/(?:.*\/node_modules\/)?(?:@[^/]+\/)?[^/]+(?=\/)/;

/** Writes the bundle of an executable and returns the packages in it, as folders below the root. */
async function bundle({ name, entry, configs }, version) {
  const sources = [];
  const { outputFiles, metafile } = await build({
    entryPoints: [{ in: compiled(entry), out: name }],
    outdir: bundles,
    outExtension: { '.js': '.cjs' },
    write: false,
    ...format,
    define: {
      ...format.define,
      ...metaOfCommonJs,
      'process.env.IOTEDGE_VERSION': JSON.stringify(version),
    },
    loader: { '.node': 'copy' },
    assetNames: '[name]',
    external: ['usocket', 'x11', 'cpu-features'],
    plugins: [
      generatedValidators(configs),
      partsApart,
      withoutUnusedPackages,
      withoutGetters,
      loggerAsText(sources),
    ],
  });
  for (const { path, contents } of outputFiles)
    replaceFile(join(bundles, basename(path)), contents, 0o644);
  return [metafile, ...sources].flatMap(({ inputs }) =>
    Object.keys(inputs).flatMap((file) => packageFolder.exec(file) ?? []),
  );
}

/** The text of a launcher, which finds its bundle by its own name. */
async function launcherText(entry) {
  const { outputFiles } = await build({
    entryPoints: [compiled(entry)],
    write: false,
    ...format,
    banner: { js: '#!/usr/bin/env node' },
    define: metaOfCommonJs,
  });
  return outputFiles[0].contents;
}

/** Writes the executables into dist/bin, and what they load into dist/lib. */
export async function bundleAll() {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const present = executables.filter(({ entry }) => existsSync(compiled(entry)));
  // whoever may write there decides what the programs do
  for (const directory of [programs, bundles])
    mkdirSync(directory, { recursive: true, mode: 0o755 });
  const packages = await Promise.all(present.map((executable) => bundle(executable, version)));
  // whoever distributes the bundles distributes these
  const list = JSON.stringify([...new Set(packages.flat())].sort(), undefined, 2);
  writeFileSync(join(root, 'dist/bundled-packages.json'), `${list}\n`);
  for (const { name, launcher } of present)
    if (launcher !== undefined)
      replaceFile(join(programs, `${name}.cjs`), await launcherText(launcher), 0o755);
  await stop(); // otherwise its process lives as long as this one
}
