import { textOf, timeOf } from '../description.ts';

/** The properties of a certificate. Times are microseconds since the epoch, 0 for none. */
export interface CertificateView {
  readonly id: string;
  readonly keyId: string;
  readonly subject: string;
  readonly issuer: string;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly fingerprint: string;
  readonly method: string;
  readonly profile: string;
  readonly state: string;
  /** 0 when it is not renewed here. */
  readonly renewAt: number;
  readonly lastAttempt: number;
  readonly nextAttempt: number;
  readonly lastError: string;
  /** The method of the operation in progress, `` when none is. */
  readonly operation: string;
  readonly isPreloaded: boolean;
  /** All properties as they came, for `--json`. */
  readonly whole: Readonly<Record<string, unknown>>;
}

/** A certificate from its properties by name, of GetAll or of Describe. */
export function certificateView(
  id: string,
  whole: Readonly<Record<string, unknown>>,
): CertificateView {
  const text = (name: string) => textOf(whole[name]);
  const time = (name: string) => timeOf(whole[name]);
  return {
    id,
    keyId: text('KeyId'),
    subject: text('Subject'),
    issuer: text('Issuer'),
    notBefore: time('NotBefore'),
    notAfter: time('NotAfter'),
    fingerprint: text('Fingerprint'),
    method: text('Method'),
    profile: text('Profile'),
    state: text('State'),
    renewAt: time('RenewAt'),
    lastAttempt: time('LastAttempt'),
    nextAttempt: time('NextAttempt'),
    lastError: text('LastError'),
    operation: text('Operation'),
    isPreloaded: whole['Preloaded'] === true,
    whole,
  };
}
