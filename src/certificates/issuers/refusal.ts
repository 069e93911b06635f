import { ServiceError } from '../../errors.ts';
import type { CertificateId } from '../../ids.ts';
import type { Answer } from './issuer.ts';

/** The failure of a call of Issue, which stores nothing and so cannot wait for an issuer. */
export function refusalOf(
  id: CertificateId,
  answer: Exclude<Answer, { kind: 'issued' }>,
): ServiceError {
  const name = `the certificate "${id}"`;
  if (answer.kind !== 'pending') {
    return new ServiceError('Unavailable', `the issuer refuses ${name}: ${answer.reason}`);
  }
  const after = answer.retryAfterS === undefined ? '' : ` in ${answer.retryAfterS} s`;
  return new ServiceError(
    'Unavailable',
    `the issuer has not decided on ${name}: ask again${after}`,
  );
}
