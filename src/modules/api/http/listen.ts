import { randomBytes } from 'node:crypto';
import { chmod, lstat, open, rename, rm } from 'node:fs/promises';
import type { Server } from 'node:net';
import { join } from 'node:path';
import { ServiceError } from '../../../errors.ts';
import type { PassedSocket } from '../../../service/systemd/sockets.ts';

/** Connections that the kernel queues, of which each iteration of the event loop accepts one: the maximum. */
const backlog = 4096;
/** Clients reach no longer name: their path to it has at most 107 bytes. */
const maxNameBytes = 90;

/** Keeps listening sockets beyond the end of the process. */
export interface SocketStore {
  /** The descriptor of the socket at a path, when there is one from a process before this one. */
  readonly take: (path: string) => Promise<number | undefined>;
  /** Keeps the socket at a path. */
  readonly keep: (path: string, fd: number) => Promise<void>;
  /** Keeps the socket at a path no longer. */
  readonly forget: (path: string) => Promise<void>;
}

/** Where a socket is and who may connect. */
export interface SocketPlace {
  readonly directory: string;
  readonly name: string;
  readonly mode: number;
  readonly store?: SocketStore | undefined;
}

/** A socket that listens. */
export interface ListeningSocket {
  /** Stops listening; the file stays, and the socket, too, if it is kept. */
  readonly close: () => Promise<void>;
  /** Whether its path is still that of this socket. */
  readonly isInPlace: () => Promise<boolean>;
  /** Called after `close`: the file is removed, and nothing is kept. */
  readonly remove: () => Promise<void>;
}

/** Listens on the socket that was kept, or on another one that replaces the file of a process before this one. */
export async function listenAt(listener: Server, place: SocketPlace): Promise<ListeningSocket> {
  const path = join(place.directory, place.name);
  try {
    const kept = await place.store?.take(path);
    if (kept === undefined) return await bind(listener, place);
    await listenOn(listener, kept);
    return {
      close: () => closed(listener),
      isInPlace: await placeOf(path),
      remove: () => remove(path, place.store),
    };
  } catch (cause) {
    throw unavailable(path, cause);
  }
}

/** Listens on a socket that systemd passed and keeps. Its descriptor is closed with the listener. */
export async function listenOnPassed(
  listener: Server,
  passed: Pick<PassedSocket, 'fd' | 'path'>,
): Promise<Pick<ListeningSocket, 'close'>> {
  try {
    await listenOn(listener, passed.fd);
    return { close: () => closed(listener) };
  } catch (cause) {
    throw unavailable(passed.path, cause);
  }
}

async function listenOn(listener: Server, fd: number): Promise<void> {
  try {
    await listening(listener, { fd });
  } catch (error) {
    listener.close();
    throw error;
  }
}

function unavailable(path: string, cause: unknown): ServiceError {
  return new ServiceError('Unavailable', `cannot listen on ${JSON.stringify(path)}`, { cause });
}

/** Binds another name first: Node removes the name that it has bound, which must stay, and the mode is set in time. */
async function bind(listener: Server, place: SocketPlace): Promise<ListeningSocket> {
  const { directory, name, mode, store } = place;
  const path = join(directory, name);
  if (Buffer.byteLength(name) > maxNameBytes) throw new RangeError('the name is too long');
  // a socket's path is limited to 107 bytes; through the directory's descriptor it is always short
  const opened = await open(directory, 'r');
  let isRenamed = false;
  try {
    const bound = `/proc/self/fd/${opened.fd}/.new`;
    await rm(bound, { recursive: true, force: true });
    await listening(listener, { path: bound });
    await chmod(bound, mode);
    await rename(bound, path).catch(async () => {
      // a directory is not replaced
      await removeDirectory(path);
      await rename(bound, path);
    });
    isRenamed = true;
    const isInPlace = await placeOf(path);
    await store?.keep(path, descriptorOf(listener));
    const close = async (): Promise<void> => {
      await closed(listener);
      await opened.close();
    };
    return { close, isInPlace, remove: () => remove(path, store) };
  } catch (error) {
    // before the directory: Node removes the bound name at once, through a descriptor that may be another file's later.
    // Not awaited: it ends with the connections of clients
    void closed(listener);
    await opened.close();
    if (isRenamed) await rm(path, { force: true });
    throw error;
  }
}

/** Removes a directory; one with files of other users, which this one may not remove, gets another name. */
async function removeDirectory(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } catch {
    await rename(path, `${path}.${randomBytes(6).toString('hex')}.old`);
  }
}

/** Whether the file at a path is still the same; the listener holds its inode, which no other file gets meanwhile. */
async function placeOf(path: string): Promise<() => Promise<boolean>> {
  const { dev, ino } = await lstat(path, { bigint: true });
  return async () => {
    const found = await lstat(path, { bigint: true }).catch(() => undefined);
    return found?.dev === dev && found.ino === ino;
  };
}

async function remove(path: string, store: SocketStore | undefined): Promise<void> {
  await store?.forget(path);
  await rm(path, { force: true });
}

function listening(
  listener: Server,
  where: { readonly path: string } | { readonly fd: number },
): Promise<void> {
  return new Promise((resolve, reject) => {
    listener.once('error', reject);
    // Node takes the backlog of a descriptor only from this argument
    listener.listen(where, backlog, resolve);
  });
}

function closed(listener: Server): Promise<void> {
  return new Promise((resolve) => listener.close(() => resolve()));
}

/** The descriptor of a listener, which Node exposes only this way. */
function descriptorOf(listener: Server): number {
  const handle: unknown = Reflect.get(listener, '_handle');
  const fd: unknown = typeof handle === 'object' && handle !== null && Reflect.get(handle, 'fd');
  if (typeof fd !== 'number') throw new TypeError('the listener has no descriptor');
  return fd;
}
