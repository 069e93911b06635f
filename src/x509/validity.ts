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
  const notBefore = times?.[0];
  const notAfter = times?.[1];
  return {
    notBefore: plainTimeOf(bytes, notBefore) ?? timeOf(bytes, notBefore, `notBefore of ${what}`),
    notAfter: plainTimeOf(bytes, notAfter) ?? timeOf(bytes, notAfter, `notAfter of ${what}`),
  };
}

/** As `timeOf`, in a fraction of its time, for a UTCTime as RFC 5280 has it; undefined for any other. */
function plainTimeOf(bytes: Buffer, span: Span | undefined): Date | undefined {
  if (span?.tag !== tags.utcTime || span.to - span.from !== 13) return undefined;
  const { from, to } = span;
  const year = twoDigits(bytes, from);
  const month = twoDigits(bytes, from + 2) - 1;
  const day = twoDigits(bytes, from + 4);
  const hour = twoDigits(bytes, from + 6);
  const minute = twoDigits(bytes, from + 8);
  const second = twoDigits(bytes, from + 10);
  const time = new Date(
    Date.UTC(year + (year < 50 ? 2000 : 1900), month, day, hour, minute, second),
  );
  const isDay = time.getUTCMonth() === month && time.getUTCDate() === day;
  return bytes[to - 1] === 0x5a && isDay && minute < 60 && second < 60 ? time : undefined;
}

/** NaN for anything else. */
function twoDigits(bytes: Buffer, at: number): number {
  const tens = (bytes[at] ?? 0) - 0x30;
  const ones = (bytes[at + 1] ?? 0) - 0x30;
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : NaN;
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
