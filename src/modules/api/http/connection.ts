import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Exchange, ExchangeServer } from './exchange.ts';
import { HttpProblem, rawFailure } from './failure.ts';

/** Maximum queued requests per connection; reading pauses above it. */
const maxQueued = 16;
/** One read is always parsed completely: with more queued requests than these, a connection is closed. */
const maxParsed = { ofOne: 1024, ofAll: 2048 };
/** How long a client may keep sending after the response to an invalid request. */
const lingerMs = 2_000;
const departureCheckMs = 1_000;

/** Number of queued requests across all connections of a socket. */
export interface QueueSize {
  requests: number;
}

/** One connection: its requests are handled in order, one at a time. */
export class Connection {
  readonly socket: Socket;
  readonly #server: ExchangeServer;
  readonly #onIdle: () => void;
  readonly #queueOfAll: QueueSize;
  readonly #queue: (() => Promise<void>)[] = [];
  readonly #closed = new AbortController();
  #newest: { readonly request: IncomingMessage; readonly broken: AbortController } | undefined;
  #busy = false;
  #paused = false;
  #refused = false;
  #requests = 0;
  #idleSince = performance.now();
  /** Bytes read when the connection became idle; data since then is the start of a request. */
  #bytesRead = 0;
  #headSince: number | undefined;

  constructor(
    socket: Socket,
    { server, total, onIdle }: { server: ExchangeServer; total: QueueSize; onIdle: () => void },
  ) {
    this.socket = socket;
    this.#queueOfAll = total;
    this.#server = server;
    this.#onIdle = onIdle;
    socket.once('close', () => this.#end());
    socket.once('end', () => this.#watchDeparture());
  }

  /** Whether a request has been received. */
  get isUsed(): boolean {
    return this.#requests > 0;
  }

  /** Time since the last request; undefined while one is in progress. */
  get idleMs(): number | undefined {
    return this.#busy ? undefined : performance.now() - this.#idleSince;
  }

  /** Time since the start of an incomplete request head was first noticed by this getter; 0 without one. */
  get headMs(): number {
    if (this.#busy || this.socket.bytesRead === this.#bytesRead) return 0;
    this.#headSince ??= performance.now();
    return performance.now() - this.#headSince;
  }

  /** Handles a request after those before it. */
  add(request: IncomingMessage, response: ServerResponse, expects: Exchange['expects']): void {
    const broken = new AbortController();
    this.#newest = { request, broken };
    this.#requests++;
    const closed = this.#closed.signal;
    this.#enqueue(() =>
      this.#server.serve({ request, response, expects, broken: broken.signal, closed }),
    );
  }

  /** Responds to an invalid request, after the responses to earlier ones, then closes the connection. */
  refuse(problem: HttpProblem): void {
    if (this.#refused) return;
    this.#refused = true;
    const newest = this.#newest;
    if (newest !== undefined && !newest.request.complete) newest.broken.abort(problem);
    else this.#enqueue(() => this.#sendFailure(problem));
  }

  #enqueue(task: () => Promise<void>): void {
    if (this.socket.destroyed) return;
    this.#queue.push(task);
    const ofAll = ++this.#queueOfAll.requests;
    const isFlood = this.#queue.length > maxParsed.ofOne || ofAll > maxParsed.ofAll;
    if (isFlood) this.socket.destroy();
    else if (this.#queue.length >= maxQueued) this.#pause(true);
    if (!this.#busy) void this.#run();
  }

  async #run(): Promise<void> {
    this.#busy = true;
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      this.#queueOfAll.requests--;
      if (!this.socket.destroyed) await next();
      if (this.#queue.length < maxQueued) this.#pause(false);
    }
    this.#busy = false;
    this.#idleSince = performance.now();
    this.#bytesRead = this.socket.bytesRead;
    this.#headSince = undefined;
    this.#onIdle();
  }

  #end(): void {
    this.#queueOfAll.requests -= this.#queue.length;
    this.#queue.length = 0;
    this.#closed.abort();
  }

  #pause(paused: boolean): void {
    if (paused) this.socket.pause();
    else if (this.#paused) this.socket.resume();
    this.#paused = paused;
  }

  async #sendFailure(problem: HttpProblem): Promise<void> {
    const { socket } = this;
    this.#server.refused(problem);
    await new Promise<void>((resolve) => {
      socket.once('close', resolve);
      socket.end(rawFailure(problem));
      const timer = setTimeout(() => socket.destroy(), lingerMs);
      socket.once('close', () => clearTimeout(timer));
      // reads on until the client has received the response; the parser refuses that data
      socket.once('end', () => socket.destroySoon());
      if (socket.readableEnded) socket.destroySoon();
    });
  }

  /** A client that ended its sending side has left or still expects a response: only a write can detect that. */
  #watchDeparture(): void {
    const check = (): void => {
      // a write that waits notices it, too
      if (this.socket.writableLength === 0) this.socket.write('');
    };
    const timer = setInterval(check, departureCheckMs);
    this.socket.once('close', () => clearInterval(timer));
  }
}

/** The failure of a request with an incomplete head. */
export function lateHead(): HttpProblem {
  return new HttpProblem(408, 'the head of the request did not come in time');
}
