/** Times as the engine writes them into logs: RFC 3339 with nanoseconds, in UTC, so that their order is that of texts. */

/** A time after all lines. */
export const later = ':';

/** `2026-11-27T22:53:51.603805489Z` for nanoseconds since the epoch. */
export function timeText(nanoseconds: bigint): string {
  const perSecond = 1_000_000_000n;
  const seconds = new Date(Number(nanoseconds / perSecond) * 1000);
  const fraction = String(nanoseconds % perSecond).padStart(9, '0');
  // outside of the years that four digits have, it is before or after all lines
  if (Number.isNaN(seconds.getTime()) || seconds.getUTCFullYear() > 9999) return '9999';
  return `${seconds.toISOString().slice(0, 19)}.${fraction}Z`;
}

/** The nanoseconds since the epoch of such a time. */
export function nanosecondsOf(text: string): bigint {
  const [whole = '', fraction = ''] = text.replace('Z', '').split('.');
  const seconds = BigInt(Math.floor(Date.parse(`${whole}Z`) / 1000));
  return seconds * 1_000_000_000n + BigInt(fraction.padEnd(9, '0').slice(0, 9));
}
