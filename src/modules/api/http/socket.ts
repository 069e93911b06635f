import { chmod, mkdir, rm } from 'node:fs/promises';
import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http';
import { createServer, type Server as Listener, type Socket } from 'node:net';
import { join } from 'node:path';
import { ServiceError, systemCode } from '../../../errors.ts';
import { quoted } from '../../../quoted.ts';
import type { PassedSocket } from '../../../service/systemd/sockets.ts';
import { ConnectionGroups } from './connection-groups.ts';
import type { ConnectionLimits } from './connections.ts';
import type { Exchange, ExchangeServer } from './exchange.ts';
import { HttpProblem, parserProblem } from './failure.ts';
import { type ListeningSocket, listenAt, listenOnPassed, type SocketPlace } from './listen.ts';

/** A socket that serves HTTP. */
export interface ServedSocket extends AsyncDisposable, Pick<ListeningSocket, 'isInPlace'> {
  /** Closes it like disposal, and removes its file: nothing shall listen there again. */
  readonly remove: () => Promise<void>;
}

/** Creates the directory of the sockets of one module: accessible to all users, but its parent only to this one. */
export async function createSocketDirectory(parent: string, module: string): Promise<string> {
  const directory = join(parent, module);
  try {
    await mkdir(parent, { recursive: true, mode: 0o700 });
    await mkdir(directory, { recursive: true });
    await chmod(directory, 0o755);
  } catch (cause) {
    // such as one that root has restored from a backup
    const text = `cannot make the directory of sockets ${quoted(directory)} (${systemCode(cause) ?? 'unknown'}): it must be the service's own, or missing`;
    throw new ServiceError('Unavailable', text, { cause });
  }
  return directory;
}

/** Removes the directory of the sockets of a module. What other users have stored there stays, and hinders nothing. */
export async function removeSocketDirectory(directory: string): Promise<void> {
  // the next start of the service tries it again
  await rm(directory, { recursive: true, force: true }).catch(() => undefined);
}

/**
 * Serves HTTP on a socket: the one that the process before this one kept, or one that replaces its file. Disposing closes
 * all connections and leaves the file.
 */
export async function serveSocket(
  place: SocketPlace,
  server: ExchangeServer,
  limits: ConnectionLimits,
): Promise<ServedSocket> {
  const listen = (listener: Listener) => listenAt(listener, place);
  const { listening, close } = await serve(listen, server, limits);
  return {
    [Symbol.asyncDispose]: close,
    isInPlace: listening.isInPlace,
    remove: async () => {
      await close();
      await listening.remove();
    },
  };
}

/** Serves HTTP on a socket that systemd keeps. Disposing closes all connections, and the descriptor. */
export async function servePassedSocket(
  passed: Pick<PassedSocket, 'fd' | 'path'>,
  server: ExchangeServer,
  limits: ConnectionLimits,
): Promise<AsyncDisposable> {
  const listen = (listener: Listener) => listenOnPassed(listener, passed);
  const { close } = await serve(listen, server, limits);
  return { [Symbol.asyncDispose]: close };
}

async function serve<T extends Pick<ListeningSocket, 'close'>>(
  listen: (listener: Listener) => Promise<T>,
  server: ExchangeServer,
  limits: ConnectionLimits,
): Promise<{ readonly listening: T; readonly close: () => Promise<void> }> {
  const parser = httpParser();
  const read = (socket: Socket): void => {
    parser.emit('connection', socket);
    socket.resume();
  };
  const connections = new ConnectionGroups(server, read, limits);
  route(parser, connections);
  // accepted connections are not read until the limits allow
  const options = { allowHalfOpen: true, pauseOnConnect: true };
  const listener = createServer(options, (socket) => connections.accept(socket));
  try {
    const listening = await listen(listener);
    const close = async (): Promise<void> => {
      const closed = listening.close();
      await connections[Symbol.asyncDispose]();
      await closed;
    };
    return { listening, close };
  } catch (error) {
    // a client may have connected before the failure
    await connections[Symbol.asyncDispose]();
    throw error;
  }
}

/** Parses the requests of connections passed to it; does not close them. */
function httpParser(): Server {
  const parser = createHttpServer({ requireHostHeader: false, keepAliveTimeout: 0 });
  // a client that shuts down its sending side still gets its response; @types/node lacks the property
  return Object.assign(parser, { httpAllowHalfOpen: true });
}

/** `rawPacket` is the data in which the parser found the error. */
type ParserError = NodeJS.ErrnoException & { readonly rawPacket?: Buffer };

function route(parser: Server, connections: ConnectionGroups): void {
  const add =
    (expects: Exchange['expects']): RequestListener =>
    (request, response) => {
      connections.of(request.socket)?.add(request, response, expects);
    };
  parser.on('request', add('nothing'));
  parser.on('checkContinue', add('continue'));
  parser.on('checkExpectation', add('other'));
  parser.on('connect', (_request, socket) => {
    connections.of(socket)?.refuse(new HttpProblem(400, 'method not allowed'));
  });
  parser.on('clientError', (error: ParserError, socket) => {
    const problem = parserProblem(error.code ?? '', error.rawPacket);
    if (problem === undefined || !socket.writable) socket.destroy();
    else connections.of(socket)?.refuse(problem);
  });
}
