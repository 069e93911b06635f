// Builds everything into dist/: compiled sources and tests, native addons, one bundled file per executable with its code.
// usage: node src/build/build.mjs [--compiled]
//   --compiled  skips the compiler, as dist/src is up to date, and the code caches, without which all runs as well
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root, runMain } from './setup.mjs';
import { run } from './steps/command.mjs';
import { useOwnHeaders } from './steps/node-headers.mjs';
import { requireNode } from './steps/node-version.mjs';

/** Removes compiled files without a source, which would still be run as tests or bundled. */
function removeOrphans() {
  for (const folder of ['src', 'test']) {
    const compiled = join(root, 'dist', folder);
    if (!existsSync(compiled)) continue;
    for (const name of readdirSync(compiled, { recursive: true })) {
      const source = join(root, folder, name.replace(/\.js(\.map)?$/, '.ts'));
      if (/\.js(\.map)?$/.test(name) && !existsSync(source)) rmSync(join(compiled, name));
    }
  }
}

/** Compiles sources and tests into dist/src and dist/test. */
export async function compile() {
  const options = ['--incremental', '--tsBuildInfoFile', 'dist/.tsbuildinfo'];
  await run(join(root, 'node_modules/.bin/tsc'), options, { cwd: root });
  removeOrphans();
}

async function buildAddons() {
  useOwnHeaders();
  const { buildNative } = await import('../native/build.mjs');
  await buildNative({ outDir: join(root, 'dist/lib') });
}

/** Runs the whole build, without the compiler and the code caches when `isCompiled`. `report` is called with each step. */
export async function buildAll(report, { isCompiled = false } = {}) {
  if (!isCompiled) {
    report('compile');
    await compile();
  }
  if (existsSync(join(root, 'src/native/build.mjs'))) {
    report('native addons');
    await buildAddons();
  }
  report('bundle');
  const { bundleAll } = await import('./bundle.mjs');
  await bundleAll();
  if (isCompiled) return;
  report('code caches');
  await makeCaches(report);
}

/** Programs only start slower without. */
async function makeCaches(report) {
  const maker = join(root, 'dist/bin/iotedge-code-cache.cjs');
  const { code, output } = await run(process.execPath, [maker], { check: false });
  if (code !== 0) report(`some code caches were not made: ${output.trim()}`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  requireNode();
  const isCompiled = process.argv.includes('--compiled');
  runMain(() => buildAll((step) => console.log(`build: ${step}`), { isCompiled }));
}
