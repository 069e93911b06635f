import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Exchange, ExchangeServer } from './exchange.ts';
import { HttpProblem, rawFailure } from './failure.ts';

/** Maximum parsed but unanswered requests per connection; reading pauses above it. */
const mostRead = 16;
/** What one read of a hostile client brings is parsed to its end: above these, of it and of all, it is closed. */
const mostParsed = { ofOne: 1024, ofAll: 2048 };
/** How long a client may keep sending after the response to an invalid request. */
const lingerMs = 2_000;
const departureCheckMs = 1_000;

/** Number of pending requests across all connections of a socket. */
export interface Ahead {
  requests: number;
}

/** One connection: its requests are handled in order, one at a time. */
export class Connection {
  readonly socket: Socket;
  readonly #server: ExchangeServer;
  readonly #onIdle: () => void;
  readonly #aheadOfAll: Ahead;
  readonly #ahead: (() => Promise<void>)[] = [];
  readonly #gone = new AbortController();
  #newest: { readonly request: IncomingMessage; readonly broken: AbortController } | undefined;
  #busy = false;
  #paused = false;
  #refused = false;
  #requests = 0;
  #idleSince = performance.now();
  /** What had been read when the connection became idle: what came since is the beginning of a request. */
  #bytesRead = 0;
  #headSince: number | undefined;

  constructor(
    socket: Socket,
    { server, ahead, onIdle }: { server: ExchangeServer; ahead: Ahead; onIdle: () => void },
  ) {
    this.socket = socket;
    this.#aheadOfAll = ahead;
    this.#server = server;
    this.#onIdle = onIdle;
    socket.once('close', () => this.#end());
    socket.once('end', () => this.#watchDeparture());
  }

  /** Whether a request has come yet. */
  get isUsed(): boolean {
    return this.#requests > 0;
  }

  /** For how long there has been no request; undefined while there is one. */
  get idleMs(): number | undefined {
    return this.#busy ? undefined : performance.now() - this.#idleSince;
  }

  /** For how long a request has been beginning, as often as this is asked. */
  get headMs(): number {
    if (this.#busy || this.socket.bytesRead === this.#bytesRead) return 0;
    this.#headSince ??= performance.now();
    return performance.now() - this.#headSince;
  }

  /** Handles a request once those before it are done. */
  add(request: IncomingMessage, response: ServerResponse, expects: Exchange['expects']): void {
    const broken = new AbortController();
    this.#newest = { request, broken };
    this.#requests++;
    const gone = this.#gone.signal;
    this.#enqueue(() =>
      this.#server.answer({ request, response, expects, broken: broken.signal, gone }),
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
    this.#ahead.push(task);
    const ofAll = ++this.#aheadOfAll.requests;
    const isFlood = this.#ahead.length > mostParsed.ofOne || ofAll > mostParsed.ofAll;
    if (isFlood) this.socket.destroy();
    else if (this.#ahead.length >= mostRead) this.#pause(true);
    if (!this.#busy) void this.#run();
  }

  async #run(): Promise<void> {
    this.#busy = true;
    for (let next = this.#ahead.shift(); next !== undefined; next = this.#ahead.shift()) {
      this.#aheadOfAll.requests--;
      if (!this.socket.destroyed) await next();
      if (this.#ahead.length < mostRead) this.#pause(false);
    }
    this.#busy = false;
    this.#idleSince = performance.now();
    this.#bytesRead = this.socket.bytesRead;
    this.#headSince = undefined;
    this.#onIdle();
  }

  #end(): void {
    this.#aheadOfAll.requests -= this.#ahead.length;
    this.#ahead.length = 0;
    this.#gone.abort();
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
      // what was sent beside it is read, and refused by the parser, until the client has heard
      socket.once('end', () => socket.destroySoon());
      if (socket.readableEnded) socket.destroySoon();
    });
  }

  /** The end of what a client sends is the end of the client, or it still wants its answer: only a write tells. */
  #watchDeparture(): void {
    const timer = setInterval(() => this.socket.write(''), departureCheckMs);
    this.socket.once('close', () => clearInterval(timer));
  }
}

/** The refusal of a request whose head does not come to its end. */
export function lateHead(): HttpProblem {
  return new HttpProblem(408, 'the head of the request did not come in time');
}
