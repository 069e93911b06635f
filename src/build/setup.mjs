// Sets up a machine: Debian packages, node_modules, the build. Needs only Node, and is idempotent.
// usage: node src/build/setup.mjs
import { spawnSync } from 'node:child_process';
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { withLock } from './steps/command.mjs';
import { installPackages } from './steps/debian-packages.mjs';
import { installNodeModules } from './steps/node-modules.mjs';
import { requireNode } from './steps/node-version.mjs';

/** The root of the checkout. */
export const root = fileURLToPath(new URL('../..', import.meta.url));

function reporter() {
  const started = Date.now();
  return (text) => {
    console.log(`set-up: ${text} (${((Date.now() - started) / 1000).toFixed(1)} s)`);
  };
}

/** Restores the owner of files that root has created in another user's checkout. */
function restoreOwner() {
  if (process.getuid() !== 0) return;
  const { uid, gid } = statSync(root);
  if (uid === 0) return;
  spawnSync('chown', ['-hR', '--from=0:0', `${uid}:${gid}`, 'node_modules', 'dist'], { cwd: root });
}

/**
 * Installs and builds everything that the services need. `packages` and `optionalPackages` are additional Debian
 * packages. Rejects with the output of the step that failed.
 */
export async function setUp({ build = true, ...packages } = {}) {
  requireNode();
  const report = reporter();
  await installPackages(packages, report);
  mkdirSync(join(root, 'dist'), { recursive: true });
  const prepare = async () => {
    await installNodeModules(root, report);
    if (!build) return;
    const { buildAll } = await import('./build.mjs');
    await buildAll((step) => report(`build: ${step}`));
  };
  await withLock(join(root, 'dist/.lock'), prepare, report);
  restoreOwner();
  report('ready');
}

/** Runs the main function of a script; a failure prints its message and output and sets exit code 1. */
export function runMain(main) {
  main().catch((error) => {
    console.error(error instanceof Error ? error.message : error);
    if (typeof error?.output === 'string') console.error(error.output);
    process.exitCode = 1;
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) runMain(() => setUp());
