import { quoted } from '../../../quoted.ts';
import { UsageError } from '../../command.ts';

const secondsOf: Readonly<Record<string, number>> = {
  d: 86_400,
  h: 3600,
  m: 60,
  s: 1,
  ms: 0.001,
};
const zoned = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)$/;
const local = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?)?$/;

/**
 * A time in microseconds since the epoch, as `docker logs` takes it: RFC 3339, a date or a local time, seconds since the
 * epoch, or a duration before now (`10m`, `1h30m`, `2d`). The time of a line, which has nanoseconds, includes the line.
 */
export function parseLogTime(option: 'since' | 'until', text: string, now: Date): bigint {
  const before = durationBefore(text, now);
  const millis = before ?? secondsSinceEpoch(text) ?? dateIn(text);
  if (millis === undefined || !Number.isFinite(millis)) {
    const forms =
      "a duration such as 10m or 1h30m, nor a time such as 2026-01-31T12:00:00Z or '2026-01-31 12:00'";
    throw new UsageError(`--${option} ${quoted(text)} is neither ${forms}`);
  }
  const digits = before === undefined ? (/\.(\d+)/.exec(text)?.[1] ?? '') : '';
  const nanoseconds = BigInt(digits.padEnd(9, '0')) + (option === 'until' ? 999n : 0n);
  const time = BigInt(Math.round(millis * 1000)) + nanoseconds / 1000n;
  return time > 0n ? time : 1n; // 0 would be no limit
}

/** Before 1973: a count of seconds since the epoch that is hardly meant as one. */
const leastLikely = 100_000_000;

/** What to note about a bare number: as with docker it is no duration. 0, for all lines, is meant. */
export function bareNumberNote(option: string, text: string): string | undefined {
  const millis = secondsSinceEpoch(text);
  if (millis === undefined || millis === 0 || millis >= leastLikely * 1000) return undefined;
  const time = new Date(millis).toISOString();
  return `warning: --${option} ${text} is a UNIX timestamp (${time}); ${text}s or ${text}m is a time before now`;
}

function durationBefore(text: string, now: Date): number | undefined {
  if (!/^(\d+(\.\d+)?(ms|[dhms]))+$/.test(text)) return undefined;
  let seconds = 0;
  for (const [, count, unit = 's'] of text.matchAll(/(\d+(?:\.\d+)?)(ms|[dhms])/g)) {
    seconds += Number(count) * (secondsOf[unit] ?? 0);
  }
  return now.getTime() - seconds * 1000;
}

/** Without a fraction of a second. */
function secondsSinceEpoch(text: string): number | undefined {
  return /^\d{1,12}(\.\d{1,9})?$/.test(text) ? Number.parseInt(text, 10) * 1000 : undefined;
}

/** Without a fraction of a second: a Date has no more than milliseconds. */
function dateIn(text: string): number | undefined {
  const whole = text.replace(' ', 'T').replace(/\.\d+/, '');
  if (zoned.test(text)) return Date.parse(whole);
  if (!local.test(text)) return undefined;
  // a date alone would be taken for UTC
  return Date.parse(whole.includes('T') ? whole : `${whole}T00:00:00`);
}
