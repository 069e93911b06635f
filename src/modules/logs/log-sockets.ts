/**
 * Logs are read from sockets of their own, each for one connection of one user: descriptors stay off the bus, and a reader
 * that is slow delays no message.
 */
import { randomBytes } from 'node:crypto';
import { once, setMaxListeners } from 'node:events';
import { chmod, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { describeError, isServiceError, ServiceError } from '../../errors.ts';
import { peer } from '../../native/linux.ts';
import type { Log } from '../../service/log/log.ts';
import type { LastingLog } from './lasting-log.ts';
import { type LogLimits, LogSlots } from './log-slots.ts';
import { type LogTextOptions, logText } from './log-text.ts';

/** Options besides the directory, for tests. */
export interface LogSocketOptions {
  readonly limits?: LogLimits;
  /** How long a socket waits for its connection. */
  readonly waitMs?: number;
  /** How long a reader may take for the rest of a log that has ended. */
  readonly graceMs?: number;
  readonly uidOf?: (socket: Socket) => number;
  readonly log?: Pick<Log, 'error'>;
}

/** A log that a user has asked for. */
export interface OpenedLog {
  readonly uid: number;
  /** Begins to read it; the signal ends it. */
  readonly read: (signal: AbortSignal) => Promise<LastingLog>;
  readonly text: LogTextOptions;
}

/** A reader has nothing to say. */
const mostInputBytes = 4096;
const departureCheckMs = 1_000;

/** The sockets of logs that are open. */
export class LogSockets implements AsyncDisposable {
  readonly #directory: Promise<string>;
  readonly #slots: LogSlots;
  readonly #waitMs: number;
  readonly #graceMs: number;
  readonly #uidOf: (socket: Socket) => number;
  readonly #log: LogSocketOptions['log'];
  readonly #stop = new AbortController();
  readonly #served = new Set<Promise<void>>();

  /** A failure of the directory fails every log. */
  constructor(directory: Promise<string>, options: LogSocketOptions = {}) {
    this.#directory = directory;
    directory.catch(() => undefined);
    this.#slots = new LogSlots(options.limits ?? { ofUid: 8, inAll: 64 });
    this.#waitMs = options.waitMs ?? 5_000;
    this.#graceMs = options.graceMs ?? 2_000;
    this.#uidOf = options.uidOf ?? peerUid;
    this.#log = options.log;
    setMaxListeners(0, this.#stop.signal); // one for each log
  }

  /** The path of a socket for a log. The signal ends only what comes before. */
  async open({ uid, read, text }: OpenedLog, signal: AbortSignal): Promise<string> {
    const slot = this.#slots.take(uid);
    const life = new AbortController();
    const end = ({ target }: Pick<Event, 'target'>): void =>
      life.abort(target instanceof AbortSignal ? target.reason : undefined);
    this.#stop.signal.addEventListener('abort', end);
    signal.addEventListener('abort', end);
    const release = (): void => {
      slot[Symbol.dispose]();
      this.#stop.signal.removeEventListener('abort', end);
      life.abort();
    };
    try {
      if (this.#stop.signal.aborted) throw new ServiceError('Cancelled', 'the service stops');
      const log = await read(life.signal);
      const path = join(await this.#directory, `${randomBytes(16).toString('hex')}.sock`);
      const server = await listening(path);
      if (life.signal.aborted) {
        server.close();
        await rm(path, { force: true });
        life.signal.throwIfAborted();
      }
      const { ended, entries } = log;
      const served = this.#serve({ server, path, uid, life, ended }, logText(entries, text));
      const tracked = served.finally(() => {
        release();
        this.#served.delete(tracked);
      });
      this.#served.add(tracked);
      return path;
    } catch (error) {
      release();
      throw error;
    } finally {
      signal.removeEventListener('abort', end);
    }
  }

  /** Closes all connections and removes the sockets. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new ServiceError('Cancelled', 'the service stops'));
    await Promise.all(this.#served);
  }

  /** Never rejects. */
  async #serve(place: Place, text: AsyncIterable<Buffer>): Promise<void> {
    const { life, path, server, uid } = place;
    const reader = await this.#readerAt(server, uid, life.signal);
    server.close();
    await rm(path, { force: true }).catch(() => undefined); // removed with its directory
    if (reader !== undefined) await this.#send(text, reader, place);
  }

  /** A failure is the last line of the text, and its details are in the journal. Never rejects. */
  async #send(text: AsyncIterable<Buffer>, reader: Socket, place: Place): Promise<void> {
    const failure = await send(text, reader, { ...place, graceMs: this.#graceMs });
    if (failure === undefined) return;
    this.#log?.error('log not sent to its end', { uid: place.uid, error: describeError(failure) });
  }

  /** The first connection of a user; undefined when none comes in time. */
  #readerAt(server: Server, uid: number, signal: AbortSignal): Promise<Socket | undefined> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(undefined), this.#waitMs);
      const end = (reader?: Socket): void => {
        clearTimeout(timer);
        server.removeAllListeners('connection');
        server.on('connection', (late: Socket) => late.destroy());
        resolve(reader);
      };
      signal.addEventListener('abort', () => end(), { once: true });
      server.on('connection', (socket: Socket) => {
        socket.on('error', () => undefined); // 'close' follows
        if (this.#isOf(socket, uid)) end(socket);
        else socket.destroy();
      });
    });
  }

  #isOf(socket: Socket, uid: number): boolean {
    try {
      return this.#uidOf(socket) === uid;
    } catch {
      return false; // it was closed at once
    }
  }
}

interface Place {
  readonly server: Server;
  readonly path: string;
  readonly uid: number;
  /** Ends the log. */
  readonly life: AbortController;
  /** Aborted when the log has ended too early. */
  readonly ended: AbortSignal;
}

async function listening(path: string): Promise<Server> {
  const server = createServer({ allowHalfOpen: true });
  try {
    server.listen(path);
    await once(server, 'listening');
    await chmod(path, 0o666);
    return server;
  } catch (cause) {
    server.close();
    throw new ServiceError('Unavailable', `cannot listen on ${path}`, { cause });
  }
}

function peerUid(socket: Socket): number {
  const handle: unknown = Reflect.get(socket, '_handle');
  const fd: unknown = typeof handle === 'object' && handle !== null && Reflect.get(handle, 'fd');
  if (typeof fd !== 'number') throw new TypeError('the connection has no descriptor');
  return peer(fd).uid;
}

/** Sends a text as fast as it is read; resolves to the failure that ended it, undefined for none. Never rejects. */
async function send(
  text: AsyncIterable<Buffer>,
  reader: Socket,
  { ended, graceMs, life }: Pick<Place, 'ended' | 'life'> & { readonly graceMs: number },
): Promise<unknown> {
  let failure: unknown;
  const closed = new Promise<void>((resolve) => reader.once('close', () => resolve()));
  reader.once('close', () => life.abort());
  reader.once('end', () => watchDeparture(reader));
  reader.on('data', () => {
    if (reader.bytesRead > mostInputBytes) reader.destroy();
  });
  const cut = (): void => closeSoon(reader, graceMs);
  if (ended.aborted) cut();
  life.signal.addEventListener('abort', () => reader.destroy(), { once: true });
  ended.addEventListener('abort', cut, { once: true });
  try {
    for await (const part of text) {
      if (!reader.write(part)) await Promise.race([once(reader, 'drain'), closed]);
      if (reader.destroyed) return undefined;
    }
    reader.end();
  } catch (error) {
    if (isServiceError(error, 'Cancelled')) reader.end();
    else {
      failure = error;
      reader.end(`iotedge-modules: the log ends here: ${publicText(error)}\n`);
    }
  }
  await closed;
  return failure;
}

/** As a client of the bus would receive it. */
function publicText(error: unknown): string {
  const isPublic = isServiceError(error) && error.code !== 'Failed';
  return isPublic ? error.message : 'internal error';
}

/** Closes a connection after a grace period, in which buffered data is sent. */
function closeSoon(reader: Socket, graceMs: number): void {
  const timer = setTimeout(() => reader.destroy(), graceMs);
  reader.once('close', () => clearTimeout(timer));
}

/** A reader that ended its sending side has left or reads on: only a write can detect that. */
function watchDeparture(reader: Socket): void {
  const check = (): void => {
    // a write that waits notices it, too
    if (reader.writableLength === 0) reader.write('');
  };
  const timer = setInterval(check, departureCheckMs);
  reader.once('close', () => clearInterval(timer));
}
