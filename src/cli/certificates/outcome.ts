import type { ErrorCode } from '../../errors.ts';
import type { CertificateView } from './certificate-view.ts';
import { expiryText, relativeTime } from './time-text.ts';

/** The operations that commands begin. */
export type Verb = 'Enroll' | 'Renew';

/** A failed operation: the rest of a sentence that begins with the certificate. */
export interface OperationFailure {
  readonly code: ErrorCode;
  readonly text: string;
}

/** A certificate before and after an operation; undefined where there was none. */
export interface Transition {
  readonly before: CertificateView | undefined;
  readonly after: CertificateView | undefined;
}

/** Why an operation that has ended did not succeed, undefined when it did. */
export function failureOf(
  verb: Verb,
  { before, after }: Transition,
  now: Date,
): OperationFailure | undefined {
  if (after === undefined) return { code: 'Cancelled', text: 'was not issued: it was cancelled' };
  if (isNew({ before, after })) return undefined;
  const { id, lastError, nextAttempt, state, operation } = after;
  if (lastError === '' && verb === 'Enroll' && state === 'valid') return undefined;
  const participle = verb === 'Enroll' ? 'issued' : 'renewed';
  if (lastError === '') {
    const reason = 'it was cancelled, or what was issued is not valid yet';
    return { code: 'Failed', text: `was not ${participle}: ${reason}` };
  }
  const text = `was not ${participle}: ${lastError}`;
  const isStuck = state === 'stuck' || state === 'damaged';
  // one that waits for the clock needs no other attempt
  if (nextAttempt === 0 && operation === '' && !isStuck) return { code: 'Unavailable', text };
  if (nextAttempt === 0 && operation === '') {
    const again = `'iotedgectl certificates ${verb === 'Enroll' ? 'request' : 'renew'} ${id}'`;
    const rest = verb === 'Enroll' ? `, 'iotedgectl certificates delete ${id}' removes it` : '';
    return { code: 'Failed', text: `${text}; once the cause is removed: ${again}${rest}` };
  }
  const next = `the service tries again by itself, ${relativeTime(nextAttempt, now)}`;
  return { code: 'Unavailable', text: `${text}; ${next}` };
}

/** What an operation that succeeded has led to. */
export function successOf({ before, after }: Transition, now: Date): string {
  const { issuer = '', notAfter = 0, id = '' } = after ?? {};
  const expiry = expiryText(notAfter, now);
  if (isNew({ before, after })) return `issued by ${issuer}, ${expiry}`;
  return `has a certificate already, which ${expiry}; 'iotedgectl certificates renew ${id}' renews it`;
}

function isNew({ before, after }: Transition): boolean {
  return (after?.fingerprint ?? '') !== '' && after?.fingerprint !== before?.fingerprint;
}
