import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, isAbsolute, join, relative } from 'node:path';
import { root } from '../setup.mjs';
import { run } from '../steps/command.mjs';
import { files, folders, links } from './layout.mjs';
import { generatedManuals } from './manuals.mjs';

const standardPrefix = '/usr';

/** Whether a file is text, in which the prefix may occur. */
const isText = (content) => !content.includes(0);

const namesIn = (folder, whole) =>
  readdirSync(folder, { recursive: whole, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, path, name }) => relative(folder, join(parentPath ?? path, name)));

/** The files of a row of the table; a row without any is a mistake, or an unfinished build. */
function sourcesIn(folder, { names, whole = false }) {
  const found = existsSync(folder) ? namesIn(folder, whole).filter((name) => names.test(name)) : [];
  if (found.length === 0) throw new Error(`${folder} has no ${names.source}: is it built?`);
  return found.sort();
}

/** Creates a folder and those above it with mode 0755, whatever the umask. */
function makeFolder(path) {
  if (existsSync(path)) return;
  makeFolder(dirname(path));
  mkdirSync(path);
  chmodSync(path, 0o755);
}

/** Replaces what has this path by one rename. */
function place(path, make) {
  makeFolder(dirname(path));
  const temporary = `${path}.new`;
  rmSync(temporary, { force: true });
  make(temporary);
  renameSync(temporary, path);
}

/** Writes a file and its mode, whatever the umask. */
export function placeFile(path, content, mode = 0o644) {
  place(path, (temporary) => {
    writeFileSync(temporary, content);
    chmodSync(temporary, mode);
  });
}

/** Creates or replaces a symbolic link. */
export function placeLink(path, target) {
  if (existsSync(path) && !lstatSync(path).isSymbolicLink())
    throw new Error(`${path} is not a link`);
  place(path, (temporary) => symlinkSync(target, temporary));
}

/** The content of a file as it is installed: launchers and units run the Node below the prefix. */
function installedContent(path, prefix) {
  const content = readFileSync(path);
  if (!isText(content)) return content;
  const text = content
    .toString('latin1') // each byte is a character
    .replace(/^#!\/usr\/bin\/env node$/m, `#!${standardPrefix}/lib/iotedge/bin/node`)
    .replaceAll(`${standardPrefix}/lib/iotedge/`, `${prefix}/lib/iotedge/`);
  return Buffer.from(text, 'latin1');
}

/**
 * Copies what the table lists from a finished build into the tree `destdir`. `addons` is the folder of the addons,
 * and `strip` the program for their architecture.
 */
export async function stage(
  destdir,
  { prefix = standardPrefix, addons = join(root, 'dist/lib'), strip = 'strip' } = {},
) {
  const within = (path) => join(destdir, isAbsolute(path) ? path : join(prefix, path));
  for (const row of files) {
    const folder = join(row.native ? addons : root, row.from);
    for (const name of sourcesIn(folder, row)) {
      const target = within(join(row.to, row.rename ?? name));
      placeFile(target, installedContent(join(folder, name), prefix), row.mode);
      if (row.native) await run(strip, ['--strip-unneeded', target]);
    }
  }
  for (const [path, text] of await generatedManuals()) placeFile(within(join('share', path)), text);
  for (const [path, target] of Object.entries(links)) placeLink(within(path), target);
  for (const path of folders) makeFolder(within(path));
}
