import { closeSync } from 'node:fs';
import { listeningPath } from '../../native/linux.ts';
import type { Log } from '../log/log.ts';
import type { ManagerEnvironment } from './manager-environment.ts';
import type { Notify } from './notifications.ts';

/** A listening unix stream socket that systemd passed. */
export interface PassedSocket {
  readonly fd: number;
  readonly name: string;
  readonly path: string;
}

/** Any descriptor that systemd passed: without a path, it is no such socket. */
type PassedDescriptor = Omit<PassedSocket, 'path'> & { readonly path: string | undefined };

/** The manager to which sockets are handed over, and the journal. */
export interface SocketsParts {
  readonly notify: Notify;
  readonly log: Log;
}

const firstPassed = 3;
const maxPassed = 65_536;

/**
 * Listening sockets that outlive a process: systemd passes those of its socket units and those in its descriptor store
 * (sd_listen_fds(3)). The caller owns the descriptors that it takes; the others are closed, here and in the store.
 */
export class SystemdSockets {
  readonly #parts: SocketsParts;
  readonly #passed: Set<PassedDescriptor>;

  constructor(environment: ManagerEnvironment, parts: SocketsParts) {
    this.#parts = parts;
    this.#passed = new Set(passedTo(process.pid, environment));
  }

  /** The socket of that name, of several the one that listens at the path. */
  take(name: string, path?: string): PassedSocket | undefined {
    for (const passed of this.#passed) {
      if (!isSocket(passed) || passed.name !== name) continue;
      if (path !== undefined && passed.path !== path) continue;
      this.#passed.delete(passed);
      return passed;
    }
    return undefined;
  }

  /** All sockets with such a name that were not taken. */
  takeAll(hasName: (name: string) => boolean): readonly PassedSocket[] {
    const taken = [...this.#passed].filter(isSocket).filter(({ name }) => hasName(name));
    for (const passed of taken) this.#passed.delete(passed);
    return taken;
  }

  /** Has systemd keep a socket for the next process; a name has at most 255 characters, none of them `:`. */
  store(name: string, fd: number): boolean {
    return this.#parts.notify(`FDSTORE=1\nFDNAME=${name}`, [fd]);
  }

  /** Has systemd close what it keeps under a name. */
  discard(name: string): void {
    this.#parts.notify(`FDSTOREREMOVE=1\nFDNAME=${name}`);
  }

  /**
   * Closes every descriptor that was not taken, and what the store keeps under its name. systemd goes on listening on the
   * socket of a unit, whose clients then wait for ever: such a socket must be taken.
   */
  closeRest(): void {
    for (const { fd, name, path } of this.#passed) {
      const message = 'passed socket closed: the configuration has no use for it';
      this.#parts.log.warn(message, { name, path });
      closeSync(fd);
      this.discard(name);
    }
    this.#passed.clear();
  }
}

function isSocket(passed: PassedDescriptor): passed is PassedSocket {
  return passed.path !== undefined;
}

function passedTo(pid: number, environment: ManagerEnvironment): readonly PassedDescriptor[] {
  const { LISTEN_PID, LISTEN_FDS = '', LISTEN_FDNAMES = '' } = environment;
  const count = Number(LISTEN_FDS);
  if (LISTEN_PID !== String(pid) || !/^[0-9]+$/.test(LISTEN_FDS) || count > maxPassed) return [];
  const names = LISTEN_FDNAMES.split(':');
  return Array.from({ length: count }, (_, index) => {
    const fd = firstPassed + index;
    return { fd, name: names[index] ?? '', path: listeningPath(fd) };
  });
}
