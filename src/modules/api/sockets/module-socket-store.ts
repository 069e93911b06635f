import { createHash } from 'node:crypto';
import { lstat } from 'node:fs/promises';
import { systemCode } from '../../../errors.ts';
import type { SystemdSockets } from '../../../service/systemd/sockets.ts';
import type { SocketStore } from '../http/listen.ts';

/**
 * Keeps the sockets of modules in systemd's descriptor store, where a module that connects while the service restarts
 * waits. A socket is found again by the file that it is bound to: one whose file was removed or replaced, or is at
 * another path, has a name that nobody looks for.
 */
export function moduleSocketStore(sockets: SystemdSockets): SocketStore {
  return {
    take: async (path) => {
      const name = await nameOf(path);
      return name === undefined ? undefined : sockets.take(name)?.fd;
    },
    keep: async (path, fd) => {
      const name = await nameOf(path);
      if (name !== undefined) sockets.store(name, fd);
    },
    forget: async (path) => {
      const name = await nameOf(path);
      if (name !== undefined) sockets.discard(name);
    },
  };
}

/** Whether a socket that systemd passed is one of a module, from the descriptor store. */
export function isModuleSocketName(name: string): boolean {
  return /^module-[0-9a-f]{32}$/.test(name);
}

/** The name in the store; undefined without a file. Names of modules may be longer than those, or contain `:`. */
async function nameOf(path: string): Promise<string | undefined> {
  try {
    const { ino, mtimeNs } = await lstat(path, { bigint: true });
    const identity = createHash('sha256').update(`${path}\0${ino}\0${mtimeNs}`).digest('hex');
    return `module-${identity.slice(0, 32)}`;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
