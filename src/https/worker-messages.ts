/** The messages between the main thread and the TLS thread. */
import type { FailureMessage } from './https-failure.ts';
import type { HttpsRequest } from './https-request.ts';

/** A message to the worker. */
export type ToWorker =
  | { readonly kind: 'request'; readonly id: number; readonly request: HttpsRequest }
  /** The body of a request that is bound to its connection. */
  | { readonly kind: 'body'; readonly id: number; readonly body: Uint8Array }
  | { readonly kind: 'abort'; readonly id: number };

/** A message from the worker: the outcome of a request, unless it was aborted, or the addresses tried so far. */
export type FromWorker =
  | {
      /** The addresses tried so far, each with its outcome. */
      readonly kind: 'tried';
      readonly id: number;
      readonly tried: string;
    }
  | {
      /** The connection of a request with a bound body is open, and waits for it. */
      readonly kind: 'tls-unique';
      readonly id: number;
      readonly value: Uint8Array;
    }
  | {
      readonly kind: 'response';
      readonly id: number;
      readonly status: number;
      readonly headers: Readonly<Record<string, string>>;
      readonly body: Uint8Array;
      readonly isCertificateWanted: boolean;
    }
  | ({ readonly kind: 'failure'; readonly id: number } & FailureMessage);
