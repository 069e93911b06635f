/** A client certificate whose key is in the Keys service. */
export interface ClientCertificate {
  /** The certificate and what leads up to its root, PEM. */
  readonly chainPem: string;
  /** The id of its key. */
  readonly keyId: string;
  /** The public half of the key, DER. */
  readonly spki: Uint8Array;
}

/** One exchange over HTTPS. Redirects are not followed. */
export interface HttpsRequest {
  readonly method: string;
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly clientCertificate?: ClientCertificate;
  /** The id of the request that the exchange serves: the journal of the Keys service shows it with the signature. */
  readonly requestId: string;
  /** The roots to trust, PEM; those of Node when absent. */
  readonly ca?: string;
  /** `http://[user:password@]host[:port]`, or https: the exchange goes through a tunnel of this proxy. */
  readonly proxy?: string;
  /** How long the whole exchange may take. */
  readonly timeoutMs: number;
  /** The largest body that is taken, 1 MiB when absent. */
  readonly maxBodyBytes?: number;
}

/** What came back, whatever its status. */
export interface HttpsResponse {
  readonly status: number;
  /** Names in lower case; `date` is the clock of the other side. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/**
 * What an exchange failed of: the certificate of the server does not verify, our own certificate or its key cannot be
 * used, the proxy refuses, the answer is not acceptable, or the connection (refused, reset, unknown name, late).
 */
export type HttpsFailureKind =
  | 'server-certificate'
  | 'client-certificate'
  | 'proxy'
  | 'response'
  | 'connection';

/** The cause of an Unavailable that `HttpsClient.request` rejects with. */
export class HttpsFailure extends Error {
  override readonly name = 'HttpsFailure';
  readonly kind: HttpsFailureKind;
  /** Such as ECONNREFUSED, CERT_HAS_EXPIRED or ERR_SSL_TLSV1_ALERT_UNKNOWN_CA. */
  readonly code: string;

  constructor(kind: HttpsFailureKind, code: string, message: string) {
    super(message);
    this.kind = kind;
    this.code = code;
  }
}

/** A message to the worker. */
export type ToWorker =
  | { readonly kind: 'request'; readonly id: number; readonly request: HttpsRequest }
  | { readonly kind: 'abort'; readonly id: number };

/** A message of the worker: the outcome of a request, unless it was aborted, or the addresses tried so far. */
export type FromWorker =
  | {
      /** The addresses that were tried so far, each with what became of it. */
      readonly kind: 'tried';
      readonly id: number;
      readonly tried: string;
    }
  | {
      readonly kind: 'response';
      readonly id: number;
      readonly status: number;
      readonly headers: Readonly<Record<string, string>>;
      readonly body: Uint8Array;
    }
  | {
      readonly kind: 'failure';
      readonly id: number;
      readonly failure: HttpsFailureKind;
      readonly code: string;
      readonly message: string;
    };

/** Marks a thread as the one for TLS, in its workerData. */
export const tlsWorkerRole = 'iotedge-tls';
