import type { Rig } from '../support/rig/rig.ts';
import { type ServiceName, services } from '../support/rig/rig-services.ts';

/** The process id of a service, which is activated if it does not run. */
export async function startedProcess(rig: Rig, name: ServiceName): Promise<number> {
  const { busName, path } = services[name];
  const ping = ['call', busName, path, 'org.freedesktop.DBus.Peer', 'Ping'];
  const { code, stderr } = await rig.busctl(ping);
  const pid = await rig.processOf(name);
  if (code !== 0 || pid === undefined) throw new Error(`${name} does not start: ${stderr}`);
  return pid;
}
