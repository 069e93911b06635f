import { closeSync } from 'node:fs';
import { listeningPath } from '../../native/linux.ts';
import type { Log } from '../log/log.ts';
import type { ManagerEnvironment } from './manager-environment.ts';

/** A descriptor that systemd passed, and where it listens if it is a unix stream socket that does. */
interface PassedSocket {
  readonly fd: number;
  readonly name: string;
  readonly path: string | undefined;
}

/** The manager to which sockets are handed over, and the journal. */
export interface SocketsParts {
  readonly notify: (state: string, fds?: readonly number[]) => boolean;
  readonly log: Log;
}

const firstPassed = 3;
const maxPassed = 65_536;

/**
 * Listening sockets that outlive a process: systemd passes those of its socket units and those in its descriptor store
 * (sd_listen_fds(3)). What nobody takes is closed, so that a client sees a refusal rather than silence.
 */
export class SystemdSockets {
  readonly #parts: SocketsParts;
  readonly #passed: Set<PassedSocket>;

  constructor(environment: ManagerEnvironment, parts: SocketsParts) {
    this.#parts = parts;
    this.#passed = new Set(passedTo(process.pid, environment));
  }

  /** The descriptor of a socket of that name, of several the one that listens at the path. The caller owns it. */
  take(name: string, path?: string): number | undefined {
    for (const passed of this.#passed) {
      if (passed.name !== name || passed.path === undefined) continue;
      if (path !== undefined && passed.path !== path) continue;
      this.#passed.delete(passed);
      return passed.fd;
    }
    return undefined;
  }

  /** Has systemd keep a socket for the next process; a name has at most 255 characters, none of them `:`. */
  store(name: string, fd: number): boolean {
    return this.#parts.notify(`FDSTORE=1\nFDNAME=${name}`, [fd]);
  }

  /** Has systemd close what it keeps under a name. */
  discard(name: string): void {
    this.#parts.notify(`FDSTOREREMOVE=1\nFDNAME=${name}`);
  }

  /** Closes every socket that was not taken, here and in the store. */
  closeRest(): void {
    for (const { fd, name, path } of this.#passed) {
      this.#parts.log.warn('passed socket closed: the configuration has no use for it', {
        name,
        path,
      });
      closeSync(fd);
      this.discard(name);
    }
    this.#passed.clear();
  }
}

function passedTo(pid: number, environment: ManagerEnvironment): readonly PassedSocket[] {
  const { LISTEN_PID, LISTEN_FDS = '', LISTEN_FDNAMES = '' } = environment;
  const count = Number(LISTEN_FDS);
  if (LISTEN_PID !== String(pid) || !/^[0-9]+$/.test(LISTEN_FDS) || count > maxPassed) return [];
  const names = LISTEN_FDNAMES.split(':');
  return Array.from({ length: count }, (_, index) => {
    const fd = firstPassed + index;
    return { fd, name: names[index] ?? '', path: listeningPath(fd) };
  });
}
