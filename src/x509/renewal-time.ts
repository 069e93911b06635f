import { createHash } from 'node:crypto';

const jitter = 0.05;

/**
 * When a certificate is due for renewal: after this fraction of its lifetime, up to a twentieth of its lifetime
 * earlier, so that devices of one batch do not renew at once. The same fingerprint gives the same time.
 */
export function renewalTime(
  certificate: {
    readonly notBefore: Date;
    readonly notAfter: Date;
    readonly fingerprint: string;
  },
  fraction: number,
): Date {
  const start = certificate.notBefore.getTime();
  const life = certificate.notAfter.getTime() - start;
  const digest = createHash('sha256').update(`renewal ${certificate.fingerprint}`).digest();
  const early = (digest.readUInt32BE(0) / 0x1_0000_0000) * Math.min(jitter, fraction / 2);
  return new Date(start + Math.floor(life * (fraction - early)));
}
