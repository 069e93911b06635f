import { ServiceError } from '../errors.ts';
import { type Span, spansIn, tags } from './der/tlv.ts';

/** The validity period of a certificate. */
export interface Validity {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

// the groups are year, month, day, hour, minute, second, fraction, sign, and the hours and minutes of the offset
const date = '(\\d\\d)(\\d\\d)(\\d\\d)(\\d\\d)';
const zone = '(?:Z|([+-])(\\d\\d)(\\d\\d))';
const utcTime = new RegExp(`^(\\d\\d)${date}(\\d\\d)?()${zone}$`);
const generalizedTime = new RegExp(`^(\\d{4})${date}(?:(\\d\\d)(?:[.,](\\d+))?)?${zone}$`);
const maxOffsetHours = 14;

/** Decodes the Validity of a certificate, which is in these bytes; InvalidArgs when it is malformed. */
export function decodeValidity(bytes: Buffer, validity: Span, what: string): Validity {
  const times = validity.tag === tags.sequence ? spansIn(bytes, validity) : undefined;
  return {
    notBefore: timeOf(bytes, times?.[0], `notBefore of ${what}`),
    notAfter: timeOf(bytes, times?.[1], `notAfter of ${what}`),
  };
}

/**
 * A time in all forms of X.690 that OpenSSL reads: with and without seconds, with fractions, with an offset from UTC.
 * RFC 5280 allows only one of them, but old CAs used the others.
 */
function timeOf(bytes: Buffer, span: Span | undefined, what: string): Date {
  const short = span?.tag === tags.utcTime;
  if (span === undefined || (!short && span.tag !== tags.generalizedTime)) return refuse('', what);
  const text = bytes.toString('latin1', span.from, span.to);
  const fields = (short ? utcTime : generalizedTime).exec(text);
  if (fields === null) return refuse(text, what);
  const [, years, month, day, hour, minute, second, fraction, sign, zoneHour, zoneMinute] = fields;
  const year = Number(years) + (short ? (Number(years) < 50 ? 2000 : 1900) : 0);
  const time = new Date(0);
  // Date.UTC treats years before 100 as 19xx
  time.setUTCFullYear(year, Number(month) - 1, Number(day));
  const ms = Math.floor(Number(`0.${fraction || 0}`) * 1000);
  time.setUTCHours(Number(hour), Number(minute), Number(second ?? 0), ms);
  const isSame =
    time.getUTCMonth() === Number(month) - 1 &&
    time.getUTCDate() === Number(day) &&
    time.getUTCHours() === Number(hour) &&
    time.getUTCMinutes() === Number(minute) &&
    time.getUTCSeconds() === Number(second ?? 0);
  const minutes = Number(zoneMinute ?? 0);
  const hours = Number(zoneHour ?? 0);
  if (!isSame || hours > maxOffsetHours || minutes > 59) return refuse(text, what);
  if (sign === undefined) return time;
  const offsetMs = (hours * 60 + minutes) * 60_000;
  return new Date(time.getTime() + (sign === '-' ? offsetMs : -offsetMs));
}

function refuse(text: string, what: string): never {
  throw new ServiceError(
    'InvalidArgs',
    `${what} is not a time: ${JSON.stringify(text.slice(0, 40))}`,
  );
}
