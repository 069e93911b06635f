import { ServiceError } from '../errors.ts';

/** One block of a PEM file. */
export interface PemBlock {
  readonly label: string;
  readonly der: Buffer;
  /** The file and the position of the block, for messages. */
  readonly where: string;
}

/** A block whose body is not decoded yet. */
interface RawBlock {
  readonly label: string;
  readonly where: string;
  readonly lines: string[];
}

/** Under this label OpenSSL appends trust settings to a certificate. */
export const trustedCertificateLabel = 'TRUSTED CERTIFICATE';

/** The accepted labels of each kind of block: that of RFC 7468 first, then those of older tools. */
export const pemLabels = {
  certificate: ['CERTIFICATE', 'X509 CERTIFICATE', trustedCertificateLabel],
  certificateRequest: ['CERTIFICATE REQUEST', 'NEW CERTIFICATE REQUEST'],
  pkcs7: ['PKCS7', 'CMS', 'PKCS #7 SIGNED DATA', 'CERTIFICATE CHAIN'],
  pkcs12: ['PKCS12'],
} as const;

const begin = '-----BEGIN ';
const boundary = /^-----(BEGIN|END) ([!-,.-~]+(?:[ -][!-,.-~]+)*)-----$/;
const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
/** A byte order mark, in UTF-16 and in UTF-8 that is read as Latin-1; concatenated files have one in their middle. */
const mark = /^(?:\uFEFF|\u00EF\u00BB\u00BF)/;
/** A bundle of all public roots has a quarter of it. */
const maxBytes = 1 << 20;
const maxBlocks = 512;

/** Whether bytes are PEM rather than DER: they hold a boundary line, in ASCII or UTF-16. */
export function looksLikePem(bytes: Uint8Array): boolean {
  // a SEQUENCE of 128 bytes and more; text has no such second byte
  if (bytes[0] === 0x30 && (bytes[1] ?? 0) >= 0x80) return false;
  return textOf(bytes).includes(begin);
}

/**
 * The blocks of a PEM file that have one of the labels, in order. Text around them, headers and blocks with other
 * labels are ignored, as other tools do. InvalidArgs, which names the block, when any block is incomplete, not base64,
 * encrypted, or a private key.
 */
export function parsePem(
  bytes: Uint8Array,
  labels: readonly string[],
  what: string,
): readonly PemBlock[] {
  return splitPem(bytes, what)
    .filter(({ label }) => labels.includes(label))
    .map(({ label, where, lines }) => ({ label, where, der: decodeBody(lines, where) }));
}

/** The only block of a PEM file that has one of the labels; else InvalidArgs. */
export function parseOnePem(bytes: Uint8Array, labels: readonly string[], what: string): Buffer {
  const [block, more] = parsePem(bytes, labels, what);
  if (block === undefined || more !== undefined) {
    const count = block === undefined ? 'no' : 'more than one';
    refuse(what, `holds ${count} PEM block ${labels.join(' or ')}`);
  }
  return block.der;
}

/** DER as a PEM block, ending in a line feed. */
export function encodePem(der: Uint8Array, label: string): string {
  return `-----BEGIN ${label}-----\n${bodyOf(der)}\n-----END ${label}-----\n`;
}

/** The DER of blocks that `encodePem` encoded; undefined for any other text. */
export function decodeEncodedPem(text: string, label: string): readonly Buffer[] | undefined {
  const [head, tail] = [`-----BEGIN ${label}-----\n`, `\n-----END ${label}-----\n`];
  const blocks: Buffer[] = [];
  for (let at = 0; at < text.length; ) {
    const end = text.indexOf(tail, at);
    if (end < 0 || !text.startsWith(head, at)) return undefined;
    const body = text.slice(at + head.length, end);
    const der = Buffer.from(body, 'base64');
    // encoded again, as the decoder ignores what is no base64
    if (der.length === 0 || bodyOf(der) !== body) return undefined;
    blocks.push(der);
    at = end + tail.length;
  }
  return blocks.length === 0 ? undefined : blocks;
}

/** Base64 in lines of 64 characters. */
function bodyOf(der: Uint8Array): string {
  const text = (Buffer.isBuffer(der) ? der : Buffer.from(der)).toString('base64');
  const lines: string[] = [];
  for (let at = 0; at < text.length; at += 64) lines.push(text.slice(at, at + 64));
  return lines.join('\n');
}

function splitPem(bytes: Uint8Array, what: string): readonly RawBlock[] {
  if (bytes.length > maxBytes) refuse(what, `is larger than ${maxBytes} bytes`);
  const blocks: RawBlock[] = [];
  let open: RawBlock | undefined;
  for (const { at, text } of linesOf(bytes)) {
    const line = text.replace(mark, '').trim();
    const [, kind, label = ''] = boundary.exec(line) ?? [];
    const here = `${what}, line ${at},`;
    if (kind === undefined) {
      if (line.includes(begin) || line.includes('-----END ')) {
        refuse(here, 'has a malformed PEM boundary');
      }
      open?.lines.push(line);
    } else if (kind === 'BEGIN') {
      if (open !== undefined) refuse(open.where, 'does not end');
      if (label.includes('PRIVATE KEY')) refuse(here, 'holds a private key');
      open = { label, lines: [], where: `${what}, block ${blocks.length + 1} (line ${at}),` };
    } else {
      if (open?.label !== label) refuse(here, 'ends a PEM block that does not begin');
      if (blocks.push(open) > maxBlocks) refuse(what, `has more than ${maxBlocks} PEM blocks`);
      open = undefined;
    }
  }
  if (open !== undefined) refuse(open.where, 'does not end');
  return blocks;
}

/** The lines of a text file with their numbers; two boundaries on one line, of concatenated files, are split. */
function linesOf(bytes: Uint8Array): readonly { readonly at: number; readonly text: string }[] {
  return textOf(bytes)
    .split(/\r\n|\n|\r/)
    .flatMap((line, at) =>
      line.split(/(?<=-----)(?=-----BEGIN )/).map((text) => ({ at: at + 1, text })),
    );
}

/** Decodes a text file as Latin-1, or as UTF-16, which Windows tools write. */
function textOf(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes);
  const order = utf16Order(buffer);
  if (order === undefined) return withoutEndMarks(buffer).toString('latin1');
  const even = buffer.subarray(0, buffer.length - (buffer.length % 2));
  return (order === 'big' ? even.swap16() : even).toString('utf16le');
}

/** Removes the NUL that C programs append, and the end-of-file mark of DOS. */
function withoutEndMarks(buffer: Buffer): Buffer {
  const last = buffer.findLastIndex((byte) => byte > 0x20);
  return buffer.subarray(0, last + 1);
}

/** The byte order of UTF-16, else undefined; without a byte order mark a boundary shows it. */
function utf16Order(buffer: Buffer): 'little' | 'big' | undefined {
  if (buffer.length < 2) return undefined;
  const first = buffer.readUInt16BE(0);
  if (first === 0xfffe) return 'little';
  if (first === 0xfeff) return 'big';
  const at = buffer.indexOf(Buffer.from(begin, 'utf16le'));
  if (at < 0) return undefined;
  return at % 2 === 0 ? 'little' : 'big';
}

function decodeBody(lines: readonly string[], where: string): Buffer {
  const body = withoutHeaders(lines, where).join('').replace(/\s/g, '');
  if (body === '' || !base64.test(body)) refuse(where, 'is not base64');
  return Buffer.from(body, 'base64');
}

/** The lines after the headers of RFC 1421, which end at an empty line. */
function withoutHeaders(lines: readonly string[], where: string): readonly string[] {
  const last = lines.findLastIndex((line) => line.includes(':'));
  if (last < 0) return lines;
  if (lines.some((line) => /^proc-type:.*encrypted/i.test(line))) refuse(where, 'is encrypted');
  const blank = lines.indexOf('', last);
  return lines.slice(blank < 0 ? last + 1 : blank + 1);
}

function refuse(what: string, why: string): never {
  throw new ServiceError('InvalidArgs', `${what} ${why}`);
}
