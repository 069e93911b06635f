// Makes a machine ready: Debian packages, node_modules, the build. Needs nothing but Node, and does nothing twice.
// usage: node src/build/setup.mjs
import { spawnSync } from 'node:child_process';
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { withLock } from './steps/command.mjs';
import { installPackages } from './steps/debian-packages.mjs';
import { installNodeModules } from './steps/node-modules.mjs';
import { requireNode } from './steps/node-version.mjs';

/** The top of the checkout. */
export const root = fileURLToPath(new URL('../..', import.meta.url));

function reporter() {
  const started = Date.now();
  return (text) => {
    console.log(`set-up: ${text} (${((Date.now() - started) / 1000).toFixed(1)} s)`);
  };
}

/** A checkout of somebody else's stays theirs also when root builds in it. */
function giveBack() {
  if (process.getuid() !== 0) return;
  const { uid, gid } = statSync(root);
  if (uid === 0) return;
  spawnSync('chown', ['-hR', '--from=0:0', `${uid}:${gid}`, 'node_modules', 'dist'], { cwd: root });
}

/**
 * Brings the machine to where everything runs. `packages` and `optionalPackages` are Debian packages needed on top.
 * Fails with the log of whatever could not be done.
 */
export async function setUp({ build = true, ...packages } = {}) {
  requireNode();
  const say = reporter();
  await installPackages(packages, say);
  mkdirSync(join(root, 'dist'), { recursive: true });
  const prepare = async () => {
    await installNodeModules(root, say);
    if (!build) return;
    const { buildAll } = await import('./build.mjs');
    await buildAll((step) => say(`build: ${step}`));
  };
  await withLock(join(root, 'dist/.lock'), prepare, say);
  giveBack();
  say('ready');
}

/** Runs the main function of a script; a failure is its message and log, and exit code 1. */
export function runMain(main) {
  main().catch((error) => {
    console.error(error instanceof Error ? error.message : error);
    if (typeof error?.output === 'string') console.error(error.output);
    process.exitCode = 1;
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) runMain(() => setUp());
