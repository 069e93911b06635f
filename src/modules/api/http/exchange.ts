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
  /** Aborted when the connection is gone. */
  readonly gone: AbortSignal;
}

/** What serves the requests of connections. */
export interface ExchangeServer {
  /** Resolves when the response is sent or the connection is gone. Never rejects. */
  answer(exchange: Exchange): Promise<void>;
  /** Something came that is no request; the client has been told. */
  refused(problem: HttpProblem): void;
}
