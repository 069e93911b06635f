import { createHash } from 'node:crypto';
import { chmodSync, lstatSync, lutimesSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { join, relative } from 'node:path';
import { run } from '../steps/command.mjs';
import { placeFile } from './stage.mjs';

const executable = /^(preinst|postinst|prerm|postrm|config)$/;

/** Every path below a folder, folders before what is in them. */
export function everyPath(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? [path, ...everyPath(path)] : [path];
  });
}

/** KiB, as dpkg-gencontrol counts: whole ones for each file, one for everything else. */
export function installedSize(tree) {
  return everyPath(tree)
    .map((path) => lstatSync(path))
    .reduce((sum, stat) => sum + (stat.isFile() ? Math.ceil(stat.size / 1024) : 1), 0);
}

function digests(tree) {
  const lines = everyPath(tree)
    .filter((path) => lstatSync(path).isFile())
    .map((path) => [relative(tree, path), createHash('md5').update(readFileSync(path))])
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, hash]) => `${hash.digest('hex')}  ${name}\n`);
  return lines.join('');
}

function controlText(fields) {
  return Object.entries(fields)
    .filter(([, value]) => value !== '')
    .map(([name, value]) => `${name}: ${value}\n`)
    .join('');
}

/**
 * Makes a package of a tree: `fields` is its control file, `control` the files beside that by name. Only the content
 * and `epoch`, in seconds, decide on its bytes.
 */
export async function buildDeb(tree, { fields, control, epoch, file, compression }) {
  const all = {
    ...control,
    md5sums: digests(tree),
    control: controlText({ ...fields, 'Installed-Size': installedSize(tree) }),
  };
  for (const [name, text] of Object.entries(all))
    placeFile(join(tree, 'DEBIAN', name), text, executable.test(name) ? 0o755 : 0o644);
  chmodSync(tree, 0o755); // dpkg-deb -x gives the mode to the directory that it unpacks in
  for (const path of [tree, ...everyPath(tree)]) lutimesSync(path, epoch, epoch);
  // the number of threads would change how the content is divided
  const options = ['--root-owner-group', `-Z${compression}`, '--threads-max=1'];
  const env = { ...process.env, SOURCE_DATE_EPOCH: String(epoch) };
  await run('dpkg-deb', [...options, '--build', tree, `${file}.new`], { env });
  renameSync(`${file}.new`, file);
}
