import type { IncomingMessage, ServerResponse } from 'node:http';
import type { HttpProblem } from './failure.ts';

/** A request and the response to it. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** What the client wants to be told before it sends the body. */
  readonly expects: 'nothing' | 'continue' | 'other';
  /** Aborted, with an HttpProblem, when what follows on the connection is not the rest of the request. */
  readonly broken: AbortSignal;
  /** Aborted when the connection is closed. */
  readonly gone: AbortSignal;
}

/** Serves the requests of connections. */
export interface ExchangeServer {
  /** Resolves when the response is sent or the connection is closed. Never rejects. */
  answer(exchange: Exchange): Promise<void>;
  /** An invalid request was received; the error response has been sent. */
  refused(problem: HttpProblem): void;
}
