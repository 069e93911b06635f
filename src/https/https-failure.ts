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

/** Facts about a failed handshake. */
export interface HandshakeFacts {
  /** The number of the TLS alert with which the server ended the connection. */
  readonly alert?: number | undefined;
  /** The topmost certificate that the server sent, when its certificate did not verify. */
  readonly topmost?: TopmostCertificate | undefined;
}

/** The topmost certificate of the chain that a server sent: its root, or the last one below it. */
export interface TopmostCertificate {
  readonly subject: string;
  readonly issuer: string;
  /** SHA-256, lower-case hex. */
  readonly fingerprint: string;
  readonly isSelfIssued: boolean;
}

/** The cause of an Unavailable that `HttpsClient.request` rejects with. */
export class HttpsFailure extends Error {
  override readonly name = 'HttpsFailure';
  readonly kind: HttpsFailureKind;
  /** Such as ECONNREFUSED, CERT_HAS_EXPIRED or ERR_SSL_TLSV1_ALERT_UNKNOWN_CA. */
  readonly code: string;
  readonly facts: HandshakeFacts;

  constructor(kind: HttpsFailureKind, code: string, message: string, facts: HandshakeFacts = {}) {
    super(message);
    this.kind = kind;
    this.code = code;
    this.facts = facts;
  }
}

/** A failure in the form that is sent from the TLS thread to the main thread. */
export interface FailureMessage {
  readonly failure: HttpsFailureKind;
  readonly code: string;
  readonly message: string;
  readonly facts?: HandshakeFacts;
}

/** Converts an error of the TLS thread. */
export function toFailureMessage(error: unknown): FailureMessage {
  if (error instanceof HttpsFailure) {
    const { kind: failure, code, message, facts } = error;
    return { failure, code, message, facts };
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
  const facts = { alert: alertIn(message) };
  const isAlert = facts.alert !== undefined && reason !== undefined;
  const text = isAlert ? `${reason} (alert ${facts.alert})` : message.trim();
  return { failure: 'connection', code: code.replaceAll(/\W+/g, '_'), message: text, facts };
}

/** The number of an alert that was received, which OpenSSL appends under every version of TLS. */
function alertIn(message: string): number | undefined {
  const number = /:SSL alert number (\d{1,3})\b/.exec(message)?.[1];
  return number === undefined ? undefined : Number(number);
}
