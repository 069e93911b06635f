import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { outputOf } from '../command.ts';
import { makePackages } from './builders.ts';

/** Packages of this build, in a directory of their own; names are those of files in it. */
export interface Versions extends AsyncDisposable {
  readonly directory: string;
  readonly current: string;
  /** Another version with other programs, and one that the current version does not have. */
  readonly previous: string;
  readonly node: string;
}

/** Makes the package of a version before this one: every program is changed, and one has been removed since. */
async function makePrevious(current: string, directory: string): Promise<string> {
  const tree = await mkdtemp(join(tmpdir(), 'iotedge-previous-'));
  try {
    await outputOf('dpkg-deb', ['-R', current, tree]);
    const control = await readFile(join(tree, 'DEBIAN/control'), 'utf8');
    await writeFile(
      join(tree, 'DEBIAN/control'),
      control.replace(/^Version: .*$/m, 'Version: 0.0.1-1'),
    );
    const loaded = join(tree, 'usr/lib/iotedge/lib');
    for (const name of await readdir(loaded))
      if (name.endsWith('.cjs'))
        await appendFile(join(loaded, name), '// of the previous version\n');
    await writeFile(join(loaded, 'removed-since.cjs'), '');
    const file = join(directory, 'previous.deb');
    await outputOf('dpkg-deb', ['--root-owner-group', '-Znone', '-b', tree, file]);
    return 'previous.deb';
  } finally {
    await rm(tree, { recursive: true });
  }
}

/** Makes the packages of this build and of a version before it. */
export async function makeVersions(): Promise<Versions> {
  const directory = await mkdtemp(join(tmpdir(), 'iotedge-versions-'));
  await mkdir(directory, { recursive: true });
  const made = await makePackages(directory, ['--uncompressed']);
  const nameOf = (start: string) =>
    made.map((path) => path.slice(directory.length + 1)).find((name) => name.startsWith(start));
  const current = nameOf('iotedge-dbus_') ?? '';
  return {
    directory,
    current,
    previous: await makePrevious(join(directory, current), directory),
    node: nameOf('iotedge-node_') ?? '',
    async [Symbol.asyncDispose]() {
      await rm(directory, { recursive: true });
    },
  };
}
