/**
 * Why an exchange failed: the certificate of the server does not verify, our own certificate or its key cannot be
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

/** A failure as it crosses from the TLS thread to the main thread. */
export interface FailureMessage {
  readonly failure: HttpsFailureKind;
  readonly code: string;
  readonly message: string;
}

/** The failure that an error of the TLS thread is. */
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

// Node gives errors of OpenSSL on the way out as EPROTO, with OpenSSL's line as the text:
// `<thread>:error:<number>:<library>:<function>:<reason>:<file>:<line>:<data>`

/** Our provider's errors: its data begins with the operation, and names the D-Bus error where there is one. */
function keysFailure({ message }: Error): FailureMessage | undefined {
  const data = /:error:[0-9A-F]+:iotedge-keys:[^:]*:(.*?):[^:]*:\d+:(.*)/.exec(message);
  if (data === null) return undefined;
  const [, reason = '', detail = ''] = data;
  const code = /: ([A-Za-z_]\w*(?:\.\w+)+): /.exec(detail)?.[1] ?? 'EPROTO';
  return { failure: 'client-certificate', code, message: detail === '' ? reason : detail };
}

/** Spelled as Node spells the same error when it comes on the way in. */
function connectionFailure(error: Error): FailureMessage {
  const { message } = error;
  const reason = /:error:[0-9A-F]+:SSL routines:[^:]*:([^:]+):/.exec(message)?.[1];
  const code = reason === undefined ? codeOf(error) : `ERR_SSL_${reason.toUpperCase()}`;
  return { failure: 'connection', code: code.replaceAll(/\W+/g, '_'), message };
}
