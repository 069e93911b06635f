/** What helpers write, by their exit codes. */
import { ServiceError } from '../../../errors.ts';
import { withoutSecrets } from '../../../quoted.ts';
import { type Certificate, readCertificates } from '../../../x509/certificate.ts';
import type { HelperResult } from './helper-process.ts';

const maxLine = 300;
/** The environment of a program holds up to 128 KiB in one variable. */
const maxCookie = 64 << 10;

/** The first line with a printable character, of the output or else of the errors, without control characters. */
export function firstLineOf({ output, errors }: Pick<HelperResult, 'output' | 'errors'>): string {
  return lineIn(output) || lineIn(errors);
}

function lineIn(bytes: Buffer): string {
  for (const line of bytes.toString('utf8').split(/[\r\n]/)) {
    // sequences that set colours, then control and format characters
    const text = line
      .replace(/\p{Cc}\[[0-9;]*[A-Za-z]/gu, '')
      .replace(/\t/g, ' ')
      .replace(/\p{C}/gu, '')
      .trim();
    if (text !== '') return withoutSecrets(text.slice(0, maxLine));
  }
  return '';
}

/** The cookie, byte for byte; Unavailable for one that no variable of the environment can hold. */
export function cookieIn(output: Buffer): string {
  const cookie = output.toString('utf8');
  if (output.length === 0) throw bad('wants to wait, and gave no cookie');
  if (output.length > maxCookie) throw bad(`gave a cookie of more than ${maxCookie >> 10} KiB`);
  if (!Buffer.from(cookie).equals(output) || cookie.includes('\0')) {
    throw bad('gave a cookie that is not UTF-8 text');
  }
  return cookie;
}

/** The seconds in the first line, and the cookie after it. */
export function delayedCookieIn(output: Buffer): {
  readonly delayS: number;
  readonly cookie: string;
} {
  const [first = '', seconds] = /^[ \t]*(\d+)[ \t]*\r?\n/.exec(output.toString('latin1')) ?? [];
  if (seconds === undefined) throw bad('wants to wait, and its first line is no number of seconds');
  return { delayS: Number(seconds), cookie: cookieIn(output.subarray(first.length)) };
}

/**
 * The certificates of a helper in any order: PEM, DER, PKCS#7, or certmonger's JSON with `certificate`, `chain` and
 * `roots`. InvalidArgs for anything else.
 */
export function certificatesOf(output: Buffer): readonly Certificate[] {
  const what = 'its output';
  const texts = /^\s*\{/.test(output.toString('latin1')) ? textsInJson(output, what) : [output];
  return texts.flatMap((text) => readCertificates(Buffer.from(text), what));
}

function textsInJson(output: Buffer, what: string): readonly string[] {
  let value: unknown;
  try {
    value = JSON.parse(output.toString('utf8'));
  } catch (error) {
    throw new ServiceError('InvalidArgs', `${what} is malformed JSON`, { cause: error });
  }
  const listed = ['chain', 'roots'].flatMap((name) => {
    const list = memberOf(value, name);
    return Array.isArray(list) ? list.map((one: unknown) => memberOf(one, 'certificate')) : [];
  });
  const texts = [memberOf(value, 'certificate'), ...listed];
  return texts.map((text) => {
    if (typeof text === 'string') return text;
    throw new ServiceError('InvalidArgs', `${what} is JSON that lacks a certificate`);
  });
}

function memberOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  return new Map<string, unknown>(Object.entries(value)).get(name);
}

function bad(what: string): ServiceError {
  return new ServiceError('Unavailable', `the helper ${what}`);
}
