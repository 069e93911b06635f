import { closeSync, readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { uptime } from 'node:os';
import { peer, peerPidfd } from '../../native/linux.ts';
import type { Cgroup, InstanceCgroups } from '../supervisor/module-type.ts';
import { parseCgroup } from './cgroup.ts';

/** Linux reports times of processes in hundredths of a second, whatever its own clock. */
const tickMs = 10;

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

/** How the process of a connection is looked up. */
export interface PeerReading {
  readonly credentials: (fd: number) => { readonly pid: number; readonly uid: number };
  /** Whether the process that connected has not been reaped; undefined before Linux 6.5, which cannot tell. */
  readonly isAlive: (fd: number, pid: number) => boolean | undefined;
  readonly cgroup: (pid: number) => Cgroup;
  /** When the process of a pid has started. */
  readonly startedAtMs: (pid: number) => number;
}

/** No machine starts as many processes as it has pids in less. */
const shortestReuseMs = 1_000;

/**
 * The process that connected a unix socket, not before this time; undefined when it has been reaped. Its pid may be that
 * of another process by then, which has started after the connection was made.
 */
export function peerOf(
  socket: Socket,
  connectedSinceMs: number,
  { credentials, isAlive, cgroup, startedAtMs }: PeerReading = kernel,
): Peer | undefined {
  const fd = descriptorOf(socket);
  try {
    const { pid, uid } = credentials(fd);
    const found = { pid, uid, cgroup: cgroup(pid) };
    // not earlier: as long as the process is not reaped, its pid is no other's
    const isSame = isAlive(fd, pid) ?? startedAtMs(pid) <= connectedSinceMs + shortestReuseMs;
    return isSame ? found : undefined;
  } catch {
    // it has ended, or is in another pid namespace
    return undefined;
  }
}

/** Time since the boot, as the kernel counts the starts of processes. */
export function sinceBootMs(): number {
  return uptime() * 1000;
}

/** As this kernel reports it. */
export const kernel: PeerReading = {
  credentials: peer,
  isAlive: (fd, pid) => {
    const pidfd = peerPidfd(fd);
    if (pidfd === undefined) return undefined;
    try {
      return pidOf(pidfd) === pid;
    } finally {
      closeSync(pidfd);
    }
  },
  cgroup: cgroupOf,
  startedAtMs: (pid) => Number(statOf(pid)[19]) * tickMs,
};

/** Only the kernel writes these files: reading them does not block. */
function cgroupOf(pid: number | 'self'): Cgroup {
  return parseCgroup(readFileSync(`/proc/${pid}/cgroup`, 'latin1'));
}

function parentOf(pid: number): number {
  return Number(statOf(pid)[1]);
}

/** The fields of /proc/PID/stat from the third on, see proc(5): the name before them may contain parentheses and blanks. */
function statOf(pid: number): readonly string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
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
