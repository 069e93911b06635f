import { closeSync, readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { peer, peerPidfd } from '../../native/linux.ts';
import type { Cgroup, InstanceCgroups } from '../supervisor/module-type.ts';
import { parseCgroup } from './cgroup.ts';

/** The control groups of this process; none without /proc, as in a chroot: then no caller has any either. */
export function ownCgroup(): Cgroup {
  try {
    return cgroupOf('self');
  } catch {
    return parseCgroup('');
  }
}

/** The control groups of the main process of an instance and of its parent; undefined when it has ended, or has no pid. */
export function instanceCgroups(pid: number): InstanceCgroups | undefined {
  if (pid <= 0) return undefined;
  try {
    return { main: cgroupOf(pid), parent: cgroupOf(parentOf(pid)) };
  } catch {
    // it ended meanwhile: its end is observed, too
    return undefined;
  }
}

/** The process that connected a unix socket. */
export interface Peer {
  readonly pid: number;
  readonly uid: number;
  readonly cgroup: Cgroup;
}

/**
 * The process that connected a unix socket; undefined when it has been reaped. Its pid may be that of another process by
 * then: before Linux 6.5 the kernel has no other name for it.
 */
export function peerOf(socket: Socket): Peer | undefined {
  const fd = descriptorOf(socket);
  let pidfd: number | undefined;
  try {
    const { pid, uid } = peer(fd);
    pidfd = peerPidfd(fd);
    const found = { pid, uid, cgroup: cgroupOf(pid) };
    // not earlier: as long as the process is not reaped, its pid is no other's
    return pidfd === undefined || pidOf(pidfd) === pid ? found : undefined;
  } catch {
    // it has ended, or is in another pid namespace
    return undefined;
  } finally {
    if (pidfd !== undefined) closeSync(pidfd);
  }
}

/** Only the kernel writes these files: reading them does not block. */
function cgroupOf(pid: number | 'self'): Cgroup {
  return parseCgroup(readFileSync(`/proc/${pid}/cgroup`, 'latin1'));
}

/** See proc(5), stat; the name before it may contain parentheses and blanks. */
function parentOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return Number(stat.slice(stat.lastIndexOf(')') + 1).split(' ')[2]);
}

/** The process of a pidfd, -1 when it has been reaped; see proc(5), fdinfo. */
function pidOf(pidfd: number): number {
  const info = readFileSync(`/proc/self/fdinfo/${pidfd}`, 'latin1');
  return Number(/^Pid:\s*(-?\d+)$/m.exec(info)?.[1] ?? -1);
}

/** The descriptor of a connection, which Node exposes only this way. */
function descriptorOf(socket: Socket): number {
  const handle: unknown = Reflect.get(socket, '_handle');
  const fd: unknown = typeof handle === 'object' && handle !== null && Reflect.get(handle, 'fd');
  return typeof fd === 'number' ? fd : -1;
}
