/** mosquitto of this machine in a booted system, as Debian packages it. */
import { copyFile, mkdir, stat } from 'node:fs/promises';
import { outputOf } from '../command.ts';
import type { BootedSystem } from './booted-system.ts';

const program = '/usr/sbin/mosquitto';
const configuration = `pid_file /run/mosquitto/mosquitto.pid
log_dest syslog
include_dir /etc/mosquitto/conf.d
`;

/** Installs what the package has, with its user; it is started at each boot, for the first time at the next. */
export async function installBroker(system: BootedSystem): Promise<void> {
  const unit = '/lib/systemd/system/mosquitto.service';
  const linked = (await outputOf('ldd', [program])).toString().matchAll(/=> (\/\S+)/g);
  for (const file of [program, unit, ...[...linked].map(([, library = '']) => library)]) {
    const copy = system.path(file);
    const isThere = await stat(copy).catch(() => undefined); // not in this system
    if (isThere === undefined) await copyFile(file, copy);
  }
  await mkdir(system.path('/etc/mosquitto/conf.d'), { recursive: true });
  await system.write('/etc/mosquitto/mosquitto.conf', configuration);
  const user = 'useradd --system --shell /usr/sbin/nologin mosquitto';
  await system.output(`${user} && systemctl daemon-reload && systemctl enable mosquitto.service`);
}
