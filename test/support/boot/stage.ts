import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { outputOf } from '../command.ts';

const installer = join(import.meta.dirname, '../../../../src/build/package/install-system.mjs');
/** Node in the roots of test/distributions. */
const node = `/opt/node/node_modules/node-linux-${process.arch}/bin/node`;

/** Units that a system without devices, network and users does not need, or that would start work of their own. */
const masked = [
  'apt-daily-upgrade.timer',
  'apt-daily.timer',
  'console-getty.service',
  'containerd.service',
  'docker.service',
  'docker.socket',
  'dpkg-db-backup.timer',
  'e2scrub_all.timer',
  'e2scrub_reap.service',
  'fstrim.timer',
  'getty@tty1.service',
  'systemd-modules-load.service',
  'systemd-remount-fs.service',
  'systemd-sysctl.service',
];

/** Writes the files of a test's machine into a directory that becomes a lower one of its root. */
export async function stageMachine(directory: string): Promise<void> {
  const write = async (path: string, text: string) => {
    const file = join(directory, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
  };
  await write('etc/machine-id', '00000000000000000000000000000b07\n');
  await write('etc/hostname', 'booted\n');
  await write('etc/hosts', '127.0.0.1 localhost\n127.0.1.1 booted\n');
  await write('etc/systemd/system.conf.d/test.conf', '[Manager]\nDefaultTimeoutStopSec=5s\n');
  const journal = '[Journal]\nStorage=persistent\nRateLimitBurst=0\n';
  await write('etc/systemd/journald.conf.d/test.conf', journal);
  const units = join(directory, 'etc/systemd/system');
  await mkdir(units);
  for (const unit of masked) await symlink('/dev/null', join(units, unit));
}

/** Installs the product into a directory that becomes a lower one of the root. */
export async function stageProduct(directory: string): Promise<void> {
  await outputOf(process.execPath, [installer, '--destdir', directory, '--node', node]);
}
