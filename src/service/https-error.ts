import { type FromWorker, HttpsFailure } from './https-message.ts';

type Failure = Omit<Extract<FromWorker, { kind: 'failure' }>, 'kind' | 'id'>;

/** A failure as it crosses from the TLS thread to the main thread. */
export function toFailure(error: unknown): Failure {
  if (error instanceof HttpsFailure) {
    return { failure: error.kind, code: error.code, message: error.message };
  }
  if (!(error instanceof Error))
    return { failure: 'connection', code: 'UNKNOWN', message: 'failed' };
  const failure = isOurKey(error) ? 'client-certificate' : 'connection';
  return { failure, code: codeOf(error), message: error.message };
}

/** Such as ECONNREFUSED or CERT_HAS_EXPIRED. */
export function codeOf({ code = 'UNKNOWN' }: NodeJS.ErrnoException): string {
  return code;
}

/** Errors of the provider carry its name, in the text alone: OpenSSL has no codes for errors of providers. */
function isOurKey({ message }: Error): boolean {
  return message.includes('iotedge-keys');
}
