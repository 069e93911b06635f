import { isServiceError, ServiceError } from '../../errors.ts';
import { HttpsFailure } from '../../https/https-failure.ts';
import type { HttpsResponse } from '../../https/https-request.ts';
import { errorTextOf } from './answer-body.ts';
import { Rejection } from './rejection.ts';
import { retryAfterOf } from './retry-after.ts';

/** An hour, after which a server that forbids an order may allow it. */
const hourS = 3600;

/** Whether an optional operation got an answer that is of no use, rather than none, or one that ends the attempt. */
export function isBadAnswer(error: unknown): boolean {
  if (error instanceof Rejection) return !error.isFinal && error.retryAfterS === undefined;
  if (isServiceError(error, 'InvalidArgs')) return true;
  if (!isServiceError(error, 'Unavailable')) return false;
  return !(error.cause instanceof HttpsFailure) || error.cause.kind === 'response';
}

/**
 * Unavailable for what passes by itself, else a rejection that names the status and the server's text. One of a busy
 * server has its Retry-After, which many servers omit.
 */
export function rejectionFor(response: HttpsResponse, what: string, now: Date): Error {
  const { status, headers } = response;
  const text = errorTextOf(response);
  const reason = `${what}: status ${status}${text === '' ? '' : `: ${text}`}`;
  if (status === 429 || status === 503) {
    const retryAfterS = retryAfterOf(headers['retry-after'], now, headers['date']);
    if (retryAfterS !== undefined) return new Rejection(reason, { retryAfterS });
    // busy: it must not be asked for anything else now
    const cause = new HttpsFailure('connection', `HTTP_${status}`, reason);
    return new ServiceError('Unavailable', reason, { cause });
  }
  if (status >= 500) return new ServiceError('Unavailable', reason);
  return new Rejection(reason, status === 403 ? { retryAfterS: hourS } : {});
}

/** The alert protocol_version. */
const protocolVersion = 70;

/** A server without TLS 1.2 cannot get the tls-unique that it wants. */
export function explainVersion(error: unknown): unknown {
  const failure = error instanceof ServiceError ? error.cause : undefined;
  if (!(failure instanceof HttpsFailure) || failure.facts.alert !== protocolVersion) return error;
  const reason = 'the server wants a tls-unique as challengePassword, but speaks no TLS 1.2';
  return new Rejection(reason, { cause: error });
}
