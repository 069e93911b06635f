import { execFile } from 'node:child_process';
import {
  chmod,
  copyFile,
  cp,
  mkdir,
  mkdtemp,
  realpath,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { PrivateEngine } from './private-engine.ts';

const run = promisify(execFile);
const applets = ['sh', 'ls', 'cat', 'echo', 'env', 'id', 'sleep', 'true', 'false', 'kill', 'trap'];

/** An engine that the command `docker` reaches. */
export type Importer = Pick<PrivateEngine, 'docker'>;

/** Imports an image that contains only busybox. */
export async function importBusybox(engine: PrivateEngine, tag: string): Promise<void> {
  await importTree(engine, { tag, changes: ['CMD ["sh"]'] }, async (root) => {
    await copyBusybox(root);
  });
}

/** The tag and the module of an image with node. */
export interface NodeImage {
  readonly tag: string;
  /** The module that the image runs, copied to `/app/main.mjs`. */
  readonly main: string;
  /** Modules that it imports, copied to `/app` as well. */
  readonly folder?: string;
}

/** Imports an image with the running node, its libraries, busybox and one script. */
export async function importNode(engine: Importer, image: NodeImage): Promise<void> {
  const changes = ['ENV PATH=/usr/bin:/bin', 'WORKDIR /app', 'CMD ["node", "main.mjs"]'];
  await importTree(engine, { tag: image.tag, changes }, async (root) => {
    await copyBusybox(root);
    await copyNode(root);
    await mkdir(join(root, 'app'));
    if (image.folder !== undefined) {
      await cp(image.folder, join(root, 'app'), { recursive: true });
      await writeFile(join(root, 'app/package.json'), '{"type":"module"}');
    }
    await cp(image.main, join(root, 'app/main.mjs'));
  });
}

async function importTree(
  engine: Importer,
  image: { readonly tag: string; readonly changes: readonly string[] },
  fill: (root: string) => Promise<void>,
): Promise<void> {
  const work = await mkdtemp(join(tmpdir(), 'iotedge-image-'));
  try {
    const root = join(work, 'root');
    await mkdir(join(root, 'etc'), { recursive: true });
    await mkdir(join(root, 'tmp'));
    await chmod(join(root, 'tmp'), 0o1777);
    await writeFile(join(root, 'etc/passwd'), 'root:x:0:0:root:/:/bin/sh\n');
    await writeFile(join(root, 'etc/group'), 'root:x:0:\n');
    await fill(root);
    const tar = join(work, 'image.tar');
    await run('tar', ['--owner=0', '--group=0', '-C', root, '-cf', tar, '.']);
    await engine.docker(
      'import',
      ...image.changes.flatMap((change) => ['-c', change]),
      tar,
      image.tag,
    );
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function copyBusybox(root: string): Promise<void> {
  const { stdout } = await run('sh', ['-c', 'command -v busybox']);
  await mkdir(join(root, 'bin'));
  await copyFile(await realpath(stdout.trim()), join(root, 'bin/busybox'));
  await chmod(join(root, 'bin/busybox'), 0o755);
  for (const applet of applets) await symlink('busybox', join(root, 'bin', applet));
}

async function copyNode(root: string): Promise<void> {
  const node = await realpath(process.execPath);
  await copyInto(root, node, '/usr/bin/node');
  await chmod(join(root, 'usr/bin/node'), 0o755);
  const { stdout } = await run('ldd', [node]);
  const libraries = [...stdout.matchAll(/\/\S+/g)].map(([library]) => library);
  for (const file of [...libraries, ...(await externalModules([node, ...libraries]))]) {
    await copyInto(root, await realpath(file), file);
  }
}

/** The modules that Debian's Node reads from /usr/share/nodejs at its start; other builds have them built in. */
async function externalModules(programs: readonly string[]): Promise<readonly string[]> {
  const module = '/usr/share/nodejs/[A-Za-z0-9._/-]+[.]js';
  const search = ['-c', 'grep -aohE "$@" || true', 'grep', module, ...programs];
  const { stdout } = await run('sh', search);
  return [...new Set(stdout.split('\n'))].filter((name) => name !== '');
}

async function copyInto(root: string, source: string, target: string): Promise<void> {
  await mkdir(join(root, dirname(target)), { recursive: true });
  await copyFile(source, join(root, target));
}

/** A script for `importNode` that calls every method of the workload API and prints the results as one line of JSON. */
export const workloadClient: string = fileURLToPath(
  new URL('../../../../test/support/engine/workload-client.mjs', import.meta.url),
);

/** A script for `importNode` that sends a request on a unix socket when it has arguments. */
export const socketClient: string = fileURLToPath(
  new URL('../../../../test/support/engine/socket-client.mjs', import.meta.url),
);
