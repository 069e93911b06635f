/** When an attempt to get a certificate is followed by the next one. */
import type { Validity } from '../../x509/validity.ts';

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
/** The longest delay of an attempt that is not bounded by the life of a certificate. */
const longestMs = 24 * hour;
const hugeS = 365 * 86_400;
const firstMs = 2 * minute;
/** Random extra share of a requested delay: the issuer may have sent many devices the same. */
const spread = 1 / 5;

/** Why an attempt did not succeed. */
export type Setback =
  /** The issuer was not reached. */
  | { readonly kind: 'unreachable' }
  /** The issuer refused the order, and says when to ask again, or does not. */
  | { readonly kind: 'refused'; readonly retryAfterS: number | undefined }
  /** The issued certificate would live no longer than the current one, until its CA or its rule is replaced. */
  | { readonly kind: 'short' }
  /** The issuer has not decided, and says when to ask again, or does not. */
  | { readonly kind: 'pending'; readonly retryAfterS: number | undefined };

/** The circumstances of an attempt. */
export interface Circumstances {
  /** Attempts before this one. */
  readonly attempts: number;
  /** The current certificate; undefined when there is none. */
  readonly current: Validity | undefined;
  readonly now: number;
  /** From 0 to 1. */
  readonly random: number;
}

/**
 * The delay until the next attempt, in milliseconds: what the issuer asks for; else, after a refusal, an hour; else
 * random up to a bound that doubles with each attempt. At most a quarter of the life that remains, or an hour after
 * expiry; at least a minute, or a twentieth of the life where that is less. After a certificate that lives no longer
 * than the current one it is a third to two thirds of the life that remains: every such attempt has another issued.
 */
export function retryDelay(setback: Setback, circumstances: Circumstances): number {
  const { current, random, now } = circumstances;
  const life = lifeOf(current);
  if (setback.kind === 'short' && current !== undefined) {
    const remaining = Math.max(0, current.notAfter.getTime() - now);
    return Math.round(Math.max((remaining * (1 + random)) / 3, Math.min(hour, life / 20)));
  }
  const floor = Math.min(minute, life / 20);
  const ceiling = Math.max(floor, ceilingOf(setback, circumstances));
  const clamp = (delay: number): number => Math.min(Math.max(delay, floor), ceiling);
  const asked = 'retryAfterS' in setback ? requestedMs(setback.retryAfterS) : undefined;
  if (asked !== undefined) return Math.round(clamp(clamp(asked) * (1 + random * spread)));
  const least = setback.kind === 'refused' ? Math.min(hour, life / 20) : floor;
  const bound = Math.min(backOffMs(circumstances), ceiling);
  return Math.round(clamp(least + random * Math.max(0, bound - least)));
}

/** A delay that an issuer can mean: not zero, past, huge or unreadable. */
function requestedMs(retryAfterS: number | undefined): number | undefined {
  if (retryAfterS === undefined || !(retryAfterS > 0) || retryAfterS > hugeS) return undefined;
  return retryAfterS * second;
}

function ceilingOf(setback: Setback, { current, now }: Circumstances): number {
  if (current === undefined) return setback.kind === 'unreachable' ? hour : longestMs;
  const remaining = current.notAfter.getTime() - now;
  return remaining > 0 ? Math.min(remaining / 4, lifeOf(current) / 4) : hour;
}

function backOffMs({ attempts }: Circumstances): number {
  return firstMs * 2 ** Math.min(attempts, 30);
}

function lifeOf(certificate: Validity | undefined): number {
  if (certificate === undefined) return Number.POSITIVE_INFINITY;
  return Math.max(0, certificate.notAfter.getTime() - certificate.notBefore.getTime());
}
