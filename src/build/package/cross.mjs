import { join } from 'node:path';
import { buildNative } from '../../native/build.mjs';
import { root } from '../setup.mjs';
import { run } from '../steps/command.mjs';
import { architectures, ownArchitecture } from './architectures.mjs';

/** The libraries that addons are linked with, beside those of the compiler. */
const libraries = ['libsystemd.so', 'libcrypto.so.3'];

/** Whether a compiler is installed and finds a library; it repeats the name of one that it does not find. */
async function finds(compiler, library) {
  try {
    const { stdout } = await run(compiler, [`-print-file-name=${library}`]);
    return stdout.trim() !== library;
  } catch {
    return false; // it is not installed
  }
}

/** Rejects with the commands that install what is needed to build for an architecture, unless that is installed. */
export async function requireCompiler(architecture) {
  if (architecture === ownArchitecture) return;
  const { triplet } = architectures[architecture];
  const found = await Promise.all(libraries.map((library) => finds(`${triplet}-g++`, library)));
  if (found.every(Boolean)) return;
  const compiler = `g++-${triplet.replaceAll('_', '-')}`;
  const packages = `${compiler} libsystemd-dev:${architecture} libssl3:${architecture}`;
  throw new Error(
    `what builds for ${architecture} is missing: dpkg --add-architecture ${architecture} && apt-get update && apt-get install ${packages}`,
  );
}

/** The program that strips files of an architecture. */
export const stripOf = (architecture) =>
  architecture === ownArchitecture ? 'strip' : `${architectures[architecture].triplet}-strip`;

/** The folder with the addons for an architecture: that of the build, or `folder` after building them there. */
export async function addonsOf(architecture, folder) {
  if (architecture === ownArchitecture) return join(root, 'dist/lib');
  await buildNative({ outDir: folder, target: architectures[architecture] });
  return folder;
}
