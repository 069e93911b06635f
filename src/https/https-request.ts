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

/** The response, whatever its status. */
export interface HttpsResponse {
  readonly status: number;
  /** Names in lower case; `date` is the clock of the other side. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}
