import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { HttpProblem } from './failure.ts';

/** A request and the response to it. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** What the client expects before it sends the body. */
  readonly expects: 'nothing' | 'continue' | 'other';
  /** Aborted, with an HttpProblem, when the rest of the request is invalid. */
  readonly broken: AbortSignal;
  /** Aborted when the connection is closed. */
  readonly closed: AbortSignal;
}

/** Serves the requests of connections. */
export interface ExchangeServer {
  /** Resolves when the response is sent or the connection is closed. Never rejects. */
  serve(exchange: Exchange): Promise<void>;
  /** Reports an invalid request, before its error response is sent. */
  refused(problem: HttpProblem): void;
  /** Ends what does not end by itself: its socket is closed. */
  close(): void;
  /** The name of the callers with whom a new connection shares the limits; without it, all share them. */
  groupOf?(socket: Socket): string;
}
