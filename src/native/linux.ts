import { loadAddon } from './addon.ts';

interface LinuxAddon {
  send(address: string, data: Uint8Array, large: boolean, fds: Int32Array): boolean;
  peer(fd: number): PeerCredentials;
  peerPidfd(fd: number): number | undefined;
  listeningPath(fd: number): string | undefined;
  endWithParent(parent: number): boolean;
  noCore(): void;
  closeOnExec(): void;
  trimMemory(): void;
}

/** The process at the other end of a unix socket, as the kernel recorded it when the socket was connected. */
export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** Fields of a journal record: names of capital letters, digits and underscores, which may be repeated. */
export type JournalFields = Iterable<readonly [string, string]>;

const journalSocket = '/run/systemd/journal/socket';

const none = new Int32Array();

let loaded: LinuxAddon | undefined | 'not yet' = 'not yet';

/** The addon; undefined when it is not built or does not load. Only the journal and `notify` do without it. */
function linux(): LinuxAddon | undefined {
  if (loaded !== 'not yet') return loaded;
  try {
    // what src/native/linux/linux.c exports
    loaded = loadAddon('iotedge_linux') as LinuxAddon | undefined;
  } catch {
    // built for another machine
    loaded = undefined;
  }
  return loaded;
}

/**
 * Sends one record to the journal. Returns false when there is no journal, its socket is full or the addon is missing:
 * the caller then writes the record to stderr. Never blocks.
 */
export function journalSend(fields: JournalFields, socket: string = journalSocket): boolean {
  return linux()?.send(socket, encodeJournalRecord(fields), true, none) ?? false;
}

/**
 * Reports a state such as `READY=1`, with at most 16 descriptors, to the service manager that listens on a socket, the
 * path or abstract name of $NOTIFY_SOCKET (sd_notify(3)). Returns false when no process listens there or the addon is
 * missing.
 */
export function notify(socket: string, state: string, fds: readonly number[] = []): boolean {
  if (!/^[/@]./.test(socket)) return false;
  return linux()?.send(socket, Buffer.from(state), false, Int32Array.from(fds)) ?? false;
}

/** Where a descriptor of a unix stream socket listens; undefined for any other descriptor, and without the addon. */
export function listeningPath(fd: number): string | undefined {
  return linux()?.listeningPath(fd);
}

/** The credentials behind a connected unix socket; throws when it is not one, or without the addon. */
export function peer(fd: number): PeerCredentials {
  return required().peer(fd);
}

/**
 * A pidfd of the process that connected a unix socket, which the caller closes; undefined before Linux 6.5, which has
 * none. Throws when that process has been reaped, or without the addon.
 */
export function peerPidfd(fd: number): number | undefined {
  return required().peerPidfd(fd);
}

/**
 * Has the kernel kill this process when the thread of its parent that started it ends. Returns false when the parent is
 * another process already, so this one must exit. A change of user or group cancels it. Throws without the addon.
 */
export function endWithParent(parentPid: number): boolean {
  return required().endWithParent(parentPid);
}

/**
 * Leaves no core of this process when it crashes, wherever the system writes or pipes cores. From now on, other
 * processes without CAP_SYS_PTRACE, of the same user too, can neither trace it nor read its memory, environment,
 * descriptors and maps below /proc; cmdline, stat and status stay readable. It cannot read its own /proc/self/environ
 * either. Programs that it executes have no core, but are otherwise as open as any. Call it after the last change of user. Throws without the addon.
 */
export function noCore(): void {
  required().noCore();
}

/**
 * From now on, programs that this process executes get no descriptors but those that are given to them, also none that
 * this process inherited. Throws without the addon.
 */
export function closeOnExec(): void {
  required().closeOnExec();
}

/** Returns memory to the kernel that glibc keeps after it was freed, unless the addon is missing. */
export function trimMemory(): void {
  linux()?.trimMemory();
}

function required(): LinuxAddon {
  const addon = linux();
  if (addon === undefined) throw new Error('iotedge_linux.node is not installed');
  return addon;
}

/** Encodes for the journal's native protocol: `NAME=value`, or a length before a value of several lines. */
export function encodeJournalRecord(fields: JournalFields): Buffer {
  return Buffer.concat(Array.from(fields, ([name, value]) => encodeField(name, value)));
}

function encodeField(name: string, value: string): Buffer {
  if (!/^[A-Z][A-Z0-9_]{0,63}$/.test(name)) throw new TypeError(`${name} is not a journal field`);
  if (!value.includes('\n')) return Buffer.from(`${name}=${value}\n`);
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(bytes.length));
  return Buffer.concat([Buffer.from(`${name}\n`), length, bytes, Buffer.from('\n')]);
}
