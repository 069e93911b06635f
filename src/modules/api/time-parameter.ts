import { parseRfc3339 } from './rfc3339.ts';

const second = 1000;
const day = 86_400 * second;
const units: ReadonlyMap<string, number> = new Map([
  ...unit(1, 'ms', 'msec'),
  ...unit(second, 's', 'sec', 'second', 'seconds'),
  ...unit(60 * second, 'm', 'min', 'minute', 'minutes'),
  ...unit(3600 * second, 'h', 'hr', 'hour', 'hours'),
  ...unit(day, 'd', 'day', 'days'),
  ...unit(7 * day, 'w', 'week', 'weeks'),
  ...unit(30.44 * day, 'M', 'month', 'months'),
  ...unit(365.25 * day, 'y', 'year', 'years'),
]);

function unit(ms: number, ...names: readonly string[]): readonly (readonly [string, number])[] {
  return names.map((name) => [name, ms]);
}

/**
 * A time in a query: RFC 3339, seconds since the epoch, or how long ago, such as `90m` or `1 day 2 hours`. Undefined for
 * any other text.
 */
export function parseTimeParameter(text: string, now: Date): Date | undefined {
  if (text.length > 64) return undefined;
  const ms = /^\d{1,12}$/.test(text) ? Number(text) * second : agoMs(text, now);
  const time = ms === undefined ? parseRfc3339(text) : new Date(ms);
  return time === undefined || Number.isNaN(time.getTime()) ? undefined : time;
}

function agoMs(text: string, now: Date): number | undefined {
  if (!/^(?:\d+ *[a-zA-Z]+ *)+$/.test(text)) return undefined;
  let total = 0;
  for (const [, count, name = ''] of text.matchAll(/(\d+) *([a-zA-Z]+)/g)) {
    const ms = units.get(name);
    if (ms === undefined) return undefined;
    total += Number(count) * ms;
  }
  return Math.max(0, now.getTime() - total);
}
