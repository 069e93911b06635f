/** A client certificate whose key is in the Keys service. */
export interface ClientCertificate {
  /** The certificate and its chain up to the root, PEM. */
  readonly chainPem: string;
  /** The id of its key. */
  readonly keyId: string;
  /** The public key, DER. */
  readonly spki: Uint8Array;
}

/** Builds the body of a request on its connection, from the tls-unique of that (RFC 5929 3). */
export type BodyBuilder = (tlsUnique: Buffer) => Promise<Uint8Array>;

/** One exchange over HTTPS. Redirects are not followed. */
export interface HttpsRequest {
  readonly method: string;
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly clientCertificate?: ClientCertificate;
  /** The id of the request that the exchange serves: the journal of the Keys service shows it with the signature. */
  readonly requestId: string;
  /** The trusted roots, PEM; Node's when absent. */
  readonly ca?: string;
  /** `http://[user:password@]host[:port]`, or https: the exchange goes through a tunnel of this proxy. */
  readonly proxy?: string;
  /** Opens a connection for this exchange alone, without a TLS session of an earlier one. */
  readonly isNewConnection?: boolean;
  /**
   * The body is that of a `BodyBuilder`: the connection is new and of TLS 1.2, since later versions have no tls-unique.
   */
  readonly hasBoundBody?: boolean;
  /** Limit for the whole exchange. */
  readonly timeoutMs: number;
  /** The largest body that is accepted, 1 MiB when absent. */
  readonly maxBodyBytes?: number;
}

/** The response, whatever its status. */
export interface HttpsResponse {
  readonly status: number;
  /** Names in lower case; `date` is the server's clock. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** Whether the server asked for a client certificate in the handshake, and so got the one of the request. */
  readonly isCertificateWanted?: boolean;
}
