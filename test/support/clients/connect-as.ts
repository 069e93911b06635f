import { Bus } from '../../../src/dbus/bus.ts';
import { deadline } from '../deadline.ts';
import type { Identity } from '../identity/identity.ts';

/**
 * Connects this process, which runs as root, to a bus as another user: the kernel reports to the bus who called
 * connect(2), and that call is made before `Bus.connect` first waits. One at a time.
 */
export async function connectAs(
  address: string,
  { uid, gid, groups = [] }: Identity,
): Promise<Bus> {
  const { getuid, getgroups, setgroups, setegid, seteuid } = process;
  if (!getuid || !getgroups || !setgroups || !setegid || !seteuid) throw new Error('not on POSIX');
  const before = getgroups.call(process);
  setgroups.call(process, [...groups]);
  setegid.call(process, gid);
  seteuid.call(process, uid);
  // the uid claimed in the handshake must be the one that the kernel reports
  process.getuid = () => uid;
  try {
    const connected = Bus.connect(address);
    seteuid.call(process, 0);
    setegid.call(process, 0);
    setgroups.call(process, before);
    return await deadline(10_000, connected, 'a connection');
  } finally {
    process.getuid = getuid;
  }
}
