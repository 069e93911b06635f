/**
 * Why an exchange failed: the server's certificate does not verify, the client certificate or its key is unusable,
 * the proxy refuses, the response is not acceptable, or the connection failed (refused, reset, unknown name, timeout).
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

/** A failure in the form that is sent from the TLS thread to the main thread. */
export interface FailureMessage {
  readonly failure: HttpsFailureKind;
  readonly code: string;
  readonly message: string;
}

/** Converts an error of the TLS thread. */
export function toFailureMessage(error: unknown): FailureMessage {
  if (error instanceof HttpsFailure) {
    return { failure: error.kind, code: error.code, message: error.message };
  }
  if (!(error instanceof Error)) {
    return { failure: 'connection', code: 'UNKNOWN', message: 'failed' };
  }
  return keysFailure(error) ?? connectionFailure(error);
}

/** Such as ECONNREFUSED or CERT_HAS_EXPIRED. */
export function codeOf({ code = 'UNKNOWN' }: NodeJS.ErrnoException): string {
  return code;
}

// Node reports OpenSSL's errors on outgoing data as EPROTO, with OpenSSL's line as the text:
// `<thread>:error:<number>:<library>:<function>:<reason>:<file>:<line>:<data>`

/** Errors of our provider: their data begins with the operation, and names the D-Bus error where there is one. */
function keysFailure({ message }: Error): FailureMessage | undefined {
  const data = /:error:[0-9A-F]+:iotedge-keys:[^:]*:(.*?):[^:]*:\d+:(.*)/.exec(message);
  if (data === null) return undefined;
  const [, reason = '', detail = ''] = data;
  const code = /: ([A-Za-z_]\w*(?:\.\w+)+): /.exec(detail)?.[1] ?? 'EPROTO';
  return { failure: 'client-certificate', code, message: detail === '' ? reason : detail };
}

/** The code as Node spells the same error on incoming data. */
function connectionFailure(error: Error): FailureMessage {
  const { message } = error;
  const reason = /:error:[0-9A-F]+:SSL routines:[^:]*:([^:]+):/.exec(message)?.[1];
  const code = reason === undefined ? codeOf(error) : `ERR_SSL_${reason.toUpperCase()}`;
  return { failure: 'connection', code: code.replaceAll(/\W+/g, '_'), message };
}
