import { hash } from 'node:crypto';
import type { Validity } from './validity.ts';

/** When a certificate is due: after a share of its life, or so many seconds before its end. */
export type RenewalSetting = { readonly afterShare: number } | { readonly beforeEndS: number };

const jitter = 0.05;
/** Whatever the setting, a certificate is used for half of its life. */
const earliestShare = 0.5;
/** Of the certificates whose renewal time was computed, as it is again at each check. */
const draws = new WeakMap<object, number>();

/**
 * When a certificate is due for renewal: when the setting says so, up to a twentieth of its life earlier, so that
 * devices of one batch do not renew at once, but never in the first half of its life. The same fingerprint gives the
 * same time.
 */
export function renewalTime(
  certificate: Validity & { readonly fingerprint: string },
  setting: RenewalSetting,
): Date {
  const { notBefore, notAfter } = certificate;
  const start = notBefore.getTime();
  const life = notAfter.getTime() - start;
  const set =
    'afterShare' in setting ? life * setting.afterShare : life - setting.beforeEndS * 1000;
  const early = drawOf(certificate) * jitter * life;
  return new Date(start + Math.floor(Math.max(set - early, life * earliestShare)));
}

/** From 0 to 1. */
function drawOf(certificate: { readonly fingerprint: string }): number {
  const before = draws.get(certificate);
  if (before !== undefined) return before;
  const digest = hash('sha256', `renewal ${certificate.fingerprint}`, 'buffer');
  const draw = digest.readUInt32BE(0) / 0x1_0000_0000;
  draws.set(certificate, draw);
  return draw;
}
