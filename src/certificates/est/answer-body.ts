/** The bodies of EST answers, in every form that is legal or that servers are known to send. */
import { ServiceError } from '../../errors.ts';
import type { HttpsResponse } from '../../https/https-request.ts';
import { type Certificate, parsePkcs7 } from '../../x509/certificate.ts';
import { looksLikePem } from '../../x509/pem.ts';

/** The largest body that is accepted. */
export const maxBodyBytes = 256 << 10;

const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const maxText = 200;

/** The bytes of a base64 body with any line lengths, and a NUL at its end; Unavailable when it is none. */
export function decodeBase64(body: Buffer, what: string): Buffer {
  // Buffer.from skips what is not base64
  const text = withoutEndMark(body.toString('latin1').replace(/\s/g, ''));
  if (!base64.test(text)) throw new ServiceError('Unavailable', `${what} is not base64`);
  return Buffer.from(text, 'base64');
}

function withoutEndMark(text: string): string {
  let end = text.length; // a pattern for it would begin anew at each of many NULs
  while (text[end - 1] === '\0') end--;
  return text.slice(0, end);
}

/** The certificates of an answer: PKCS#7 in base64, PEM or plain DER; Unavailable, naming `what`, for anything else. */
export function certificatesIn(response: HttpsResponse, what: string): readonly Certificate[] {
  const { body } = response;
  refuseEncoding(response, what);
  if (body.length === 0) throw new ServiceError('Unavailable', `${what} is empty`);
  if (isHtml(response)) throw new ServiceError('Unavailable', `${what} is HTML`);
  try {
    return parsePkcs7(looksLikePem(body) ? body : bytesOf(body, what), what);
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    throw new ServiceError('Unavailable', error.message, { cause: error });
  }
}

/** Servers that predate RFC 7030 send DER. */
function bytesOf(body: Buffer, what: string): Buffer {
  return body[0] === 0x30 && (body[1] ?? 0) >= 0x80 ? body : decodeBase64(body, what);
}

/** Refuses compressed bodies, which were not asked for. */
export function refuseEncoding({ headers }: HttpsResponse, what: string): void {
  const encoding = headers['content-encoding']?.trim().toLowerCase() ?? 'identity';
  if (encoding === 'identity' || encoding === '') return;
  throw new ServiceError('Unavailable', `${what} has the content encoding ${printable(encoding)}`);
}

/** The first line of the text of an error; empty when there is none that a person can read. */
export function errorTextOf(response: HttpsResponse): string {
  const type = response.headers['content-type']?.toLowerCase() ?? '';
  if (isHtml(response) || /pkcs7|octet-stream/.test(type)) return '';
  const text = response.body.subarray(0, 4096).toString('utf8');
  if (text.includes('\uFFFD') || text.includes('\0')) return '';
  const shown = type.includes('json') ? detailOf(response.body) : text;
  return printable(shown.split(/[\r\n]+/).find((line) => line.trim() !== '') ?? '');
}

/** RFC 9457, and what others call the same. */
function detailOf(body: Buffer): string {
  try {
    const problem: unknown = JSON.parse(body.toString('utf8'));
    const fields = new Map(Object.entries(problem ?? {}));
    const found = ['detail', 'title', 'message', 'error'].map((name): unknown => fields.get(name));
    return found.find((value) => typeof value === 'string') ?? '';
  } catch {
    return ''; // half of it, or none
  }
}

function isHtml({ headers, body }: HttpsResponse): boolean {
  const start = body.subarray(0, 64).toString('latin1').trimStart();
  return /html/i.test(headers['content-type'] ?? '') || /^<(?:!doctype|html|\?xml)/i.test(start);
}

function printable(text: string): string {
  return text
    .replace(/[\p{C}\p{Zl}\p{Zp}]/gu, ' ')
    .trim()
    .slice(0, maxText);
}
