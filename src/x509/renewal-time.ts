import { createHash } from 'node:crypto';
import type { Validity } from './validity.ts';

/** When a certificate is due: after a share of its life, or so many seconds before its end. */
export type RenewalSetting = { readonly afterShare: number } | { readonly beforeEndS: number };

const jitter = 0.05;
/** Whatever the setting, a certificate is used for half of its life. */
const earliestShare = 0.5;

/**
 * When a certificate is due for renewal: when the setting says so, up to a twentieth of its life earlier, so that
 * devices of one batch do not renew at once, but never in the first half of its life. The same fingerprint gives the
 * same time.
 */
export function renewalTime(
  { notBefore, notAfter, fingerprint }: Validity & { readonly fingerprint: string },
  setting: RenewalSetting,
): Date {
  const start = notBefore.getTime();
  const life = notAfter.getTime() - start;
  const set =
    'afterShare' in setting ? life * setting.afterShare : life - setting.beforeEndS * 1000;
  const digest = createHash('sha256').update(`renewal ${fingerprint}`).digest();
  const early = (digest.readUInt32BE(0) / 0x1_0000_0000) * jitter * life;
  return new Date(start + Math.floor(Math.max(set - early, life * earliestShare)));
}
