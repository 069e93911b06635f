import { ServiceError } from '../errors.ts';
import { type Element, universal } from './der/asn1.ts';
import { contentOf, isUniversal, membersOf } from './der/read.ts';

/** The validity period of a certificate. */
export interface Validity {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

const date = '(?<month>\\d\\d)(?<day>\\d\\d)(?<hour>\\d\\d)(?<minute>\\d\\d)';
const zone = '(?:Z|(?<sign>[+-])(?<zoneHour>\\d\\d)(?<zoneMinute>\\d\\d))';
const utcTime = new RegExp(`^(?<year>\\d\\d)${date}(?<second>\\d\\d)?${zone}$`);
const generalizedTime = new RegExp(
  `^(?<year>\\d{4})${date}(?:(?<second>\\d\\d)(?:[.,](?<fraction>\\d+))?)?${zone}$`,
);
const maxOffsetHours = 14;

/** Decodes the Validity of a certificate; InvalidArgs when it is malformed. */
export function decodeValidity(element: Element, what: string): Validity {
  const [notBefore, notAfter] = membersOf(element, 'sequence', what);
  return {
    notBefore: timeOf(notBefore, `notBefore of ${what}`),
    notAfter: timeOf(notAfter, `notAfter of ${what}`),
  };
}

/**
 * A time in all forms of X.690 that OpenSSL reads: with and without seconds, with fractions, with an offset from UTC.
 * RFC 5280 allows only one of them, but old CAs used the others.
 */
function timeOf(element: Element | undefined, what: string): Date {
  const short = isUniversal(element, universal.utcTime);
  if (!short && !isUniversal(element, universal.generalizedTime)) return refuse('', what);
  const text = contentOf(element, what).toString('latin1');
  const fields = (short ? utcTime : generalizedTime).exec(text)?.groups;
  if (fields === undefined) return refuse(text, what);
  const number = (name: string): number => Number(fields[name] ?? 0);
  const year = short ? number('year') + (number('year') < 50 ? 2000 : 1900) : number('year');
  const ms = Math.floor(Number(`0.${fields['fraction'] ?? 0}`) * 1000);
  const time = new Date(0);
  // Date.UTC treats years before 100 as 19xx
  time.setUTCFullYear(year, number('month') - 1, number('day'));
  time.setUTCHours(number('hour'), number('minute'), number('second'), ms);
  const isSame =
    time.getUTCMonth() === number('month') - 1 &&
    time.getUTCDate() === number('day') &&
    time.getUTCHours() === number('hour') &&
    time.getUTCMinutes() === number('minute') &&
    time.getUTCSeconds() === number('second');
  if (!isSame || number('zoneHour') > maxOffsetHours || number('zoneMinute') > 59) {
    return refuse(text, what);
  }
  const minutes = number('zoneHour') * 60 + number('zoneMinute');
  return new Date(time.getTime() + (fields['sign'] === '-' ? minutes : -minutes) * 60_000);
}

function refuse(text: string, what: string): never {
  throw new ServiceError(
    'InvalidArgs',
    `${what} is not a time: ${JSON.stringify(text.slice(0, 40))}`,
  );
}
