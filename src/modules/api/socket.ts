import { chmod, mkdir, open, rm } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import { join } from 'node:path';
import { ServiceError } from '../../errors.ts';

const mostConnections = 32;
const headersMs = 5_000;
const requestMs = 15_000;
// Without this, Node looks for late ones every 30 s only.
const checkMs = 2_500;

/** Where a socket is and who may connect. */
export interface SocketPlace {
  readonly directory: string;
  readonly name: string;
  readonly mode: number;
}

/** Makes the directory whose sockets one module sees: everybody may enter it, its parent only we. */
export async function makeSocketDirectory(parent: string, module: string): Promise<string> {
  const directory = join(parent, module);
  await mkdir(parent, { recursive: true, mode: 0o700 });
  await mkdir(directory, { recursive: true });
  await chmod(directory, 0o755);
  return directory;
}

/** Serves HTTP on a socket, in place of one that an earlier process left. Disposing closes every connection. */
export async function serveSocket(
  place: SocketPlace,
  listener: RequestListener,
): Promise<AsyncDisposable> {
  await rm(join(place.directory, place.name), { recursive: true, force: true });
  // A socket's path is limited to 107 bytes; through the directory's descriptor it is always short.
  const directory = await open(place.directory, 'r');
  const path = `/proc/self/fd/${directory.fd}/${place.name}`;
  const limits = {
    headersTimeout: headersMs,
    requestTimeout: requestMs,
    connectionsCheckingInterval: checkMs,
  };
  const server = createServer(limits, listener);
  server.maxConnections = mostConnections;
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, resolve);
    });
    await chmod(path, place.mode);
  } catch (cause) {
    server.close();
    await directory.close();
    const shown = JSON.stringify(join(place.directory, place.name));
    throw new ServiceError('Unavailable', `cannot listen on ${shown}`, { cause });
  }
  return {
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
      await directory.close();
    },
  };
}
