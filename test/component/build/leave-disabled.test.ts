import { spawnSync } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const test = suite<{ dir: string }>('units of packages that set-up installs');

const module = join(import.meta.dirname, '../../../../src/build/steps/debian-packages.mjs');

test.before.each(async (context) => {
  context.dir = await mkdtemp(join(tmpdir(), 'iotedge-units-'));
});
test.after.each(async ({ dir }) => {
  await rm(dir, { recursive: true });
});

/** A stub program with the behavior that the test needs. */
async function program(dir: string, name: string, script: string): Promise<void> {
  await writeFile(join(dir, name), `#!/bin/sh\n${script}\n`);
  await chmod(join(dir, name), 0o755);
}

test('are disabled when they were enabled by that, and others are unchanged', async ({ dir }) => {
  const { leaveDisabled } = (await import(pathToFileURL(module).href)) as { leaveDisabled: string };
  const units = (...names: readonly string[]): string =>
    names.map((name) => `echo /lib/systemd/system/${name}`).join('; ');
  await program(
    dir,
    'dpkg-query',
    `[ "$1" = -W ] && { printf 'installed bash\\ninstalled containerd\\ninstalled docker.io\\ninstalled old\\ninstalled systemd\\nconfig-files gone\\n'; exit; }
case $2 in
  docker.io) ${units('docker.service', 'docker.socket', 'other.service')}; echo /usr/share/doc/docker.io ;;
  containerd) echo /usr/lib/systemd/system/containerd.service ;;
  old) ${units('old.service')} ;;
  systemd) ${units('getty@.service', 'systemd-timesyncd.service')} ;;
esac`,
  );
  await program(
    dir,
    'systemctl',
    `case $1 in
  is-enabled) case $2 in other.service) echo disabled; exit 1 ;; *) echo enabled ;; esac ;;
  disable) echo "$@" >> '${dir}/disabled' ;;
esac`,
  );
  await writeFile(join(dir, 'before'), 'bash\nold\n');
  const { status, stderr } = spawnSync(
    'sh',
    ['-euc', `before='${dir}/before'\n${leaveDisabled}\ndisable_new`],
    {
      env: { PATH: `${dir}:/usr/bin:/bin`, LC_ALL: 'C.UTF-8' },
      encoding: 'utf8',
    },
  );
  assert.is(status, 0, stderr);
  assert.equal((await readFile(join(dir, 'disabled'), 'utf8')).trim().split('\n'), [
    'disable --quiet containerd.service',
    'disable --quiet docker.service',
    'disable --quiet docker.socket',
  ]);
});

test.run();
