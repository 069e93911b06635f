import { createHash } from 'node:crypto';

const jitter = 0.05;

/**
 * When a certificate is due for renewal: after this fraction of its life, up to a twentieth of its life
 * earlier, so that devices made together do not renew together. The same fingerprint gives the same time.
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
