const maxS = 366 * 24 * 3600;
const months = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');

/**
 * The seconds of a Retry-After header, which holds seconds or a date in one of three forms (RFC 9110 5.6.7, 10.2.3).
 * Undefined for zero, the past, more than a year and anything that is unreadable.
 */
export function retryAfterOf(
  header: string | undefined,
  now: Date,
  serverDate?: string,
): number | undefined {
  const text = header?.trim() ?? '';
  if (/^\d+$/.test(text)) return within(Number(text));
  const date = parseHttpDate(text);
  // the date is one of the server's clock, which may not be this one
  const from = parseHttpDate(serverDate ?? '') ?? now;
  return date === undefined ? undefined : within((date.getTime() - from.getTime()) / 1000);
}

function within(seconds: number): number | undefined {
  return seconds > 0 && seconds <= maxS ? Math.ceil(seconds) : undefined;
}

/** `Sun, 06 Nov 1994 08:49:37 GMT`, `Sunday, 06-Nov-94 08:49:37 GMT` or `Sun Nov  6 08:49:37 1994`. */
function parseHttpDate(text: string): Date | undefined {
  const time = '(?<hour>\\d\\d):(?<minute>\\d\\d):(?<second>\\d\\d)';
  const forms = [
    `^\\w+, (?<day>\\d\\d)[ -](?<month>\\w{3})[ -](?<year>\\d\\d|\\d{4}) ${time} (?:GMT|UTC)$`,
    `^\\w{3} (?<month>\\w{3}) +(?<day>\\d{1,2}) ${time} (?<year>\\d{4})$`,
  ];
  const fields = forms.map((form) => new RegExp(form).exec(text)?.groups).find(Boolean);
  const month = months.indexOf(fields?.['month'] ?? '');
  if (fields === undefined || month < 0) return undefined;
  const number = (name: string): number => Number(fields[name]);
  const year = number('year') < 100 ? number('year') + 2000 : number('year');
  const [day, hour, minute, second] = ['day', 'hour', 'minute', 'second'].map(number);
  return new Date(Date.UTC(year, month, day, hour, minute, second));
}
