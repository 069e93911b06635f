import { chmod, mkdir, open, rm } from 'node:fs/promises';
import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { ServiceError } from '../../../errors.ts';
import { type ConnectionLimits, Connections } from './connections.ts';
import type { Exchange, ExchangeServer } from './exchange.ts';
import { HttpProblem, parserProblem } from './failure.ts';

/** Connections that the kernel queues, of which each iteration of the event loop accepts one: the maximum. */
const backlog = 4096;

/** Where a socket is and who may connect. */
export interface SocketPlace {
  readonly directory: string;
  readonly name: string;
  readonly mode: number;
}

/** Creates the directory of the sockets of one module: accessible to all users, but its parent only to this one. */
export async function createSocketDirectory(parent: string, module: string): Promise<string> {
  const directory = join(parent, module);
  await mkdir(parent, { recursive: true, mode: 0o700 });
  await mkdir(directory, { recursive: true });
  await chmod(directory, 0o755);
  return directory;
}

/** Serves HTTP on a socket, replacing one of a previous process. Disposing closes it and all connections. */
export async function serveSocket(
  place: SocketPlace,
  server: ExchangeServer,
  limits?: ConnectionLimits,
): Promise<AsyncDisposable> {
  await rm(join(place.directory, place.name), { recursive: true, force: true });
  // a socket's path is limited to 107 bytes; through the directory's descriptor it is always short
  const directory = await open(place.directory, 'r');
  const path = `/proc/self/fd/${directory.fd}/${place.name}`;
  const parser = httpParser();
  const read = (socket: Socket): void => {
    parser.emit('connection', socket);
    socket.resume();
  };
  const connections = new Connections(server, read, limits);
  route(parser, connections);
  // accepted connections are not read until the limits allow
  const options = { allowHalfOpen: true, pauseOnConnect: true };
  const listener = createServer(options, (socket) => connections.accept(socket));
  try {
    await new Promise<void>((resolve, reject) => {
      listener.once('error', reject);
      listener.listen({ path, backlog }, resolve);
    });
    await chmod(path, place.mode);
  } catch (cause) {
    listener.close();
    await directory.close();
    const shown = JSON.stringify(join(place.directory, place.name));
    throw new ServiceError('Unavailable', `cannot listen on ${shown}`, { cause });
  }
  return {
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise<void>((resolve) => listener.close(() => resolve()));
      await connections[Symbol.asyncDispose]();
      await closed;
      await directory.close();
    },
  };
}

/** Parses the requests of connections passed to it; does not close them. */
function httpParser(): Server {
  const parser = createHttpServer({ requireHostHeader: false, keepAliveTimeout: 0 });
  // a client that shuts down its sending side still gets its response; @types/node lacks the property
  return Object.assign(parser, { httpAllowHalfOpen: true });
}

function route(parser: Server, connections: Connections): void {
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
  parser.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const problem = parserProblem(error.code ?? '');
    if (problem === undefined || !socket.writable) socket.destroy();
    else connections.of(socket)?.refuse(problem);
  });
}
