import { ServiceError } from '../errors.ts';
import { maxInputBytes } from './der/asn1.ts';

/** One block of a PEM file. */
export interface PemBlock {
  readonly label: string;
  readonly der: Buffer;
}

const boundary = /^-----(BEGIN|END) ([A-Z0-9#]+(?: [A-Z0-9#]+)*)-----$/;
const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const maxBlocks = 512;

/** Whether bytes are PEM rather than DER: they hold a boundary line. */
export function looksLikePem(bytes: Uint8Array): boolean {
  return Buffer.from(bytes).includes('-----BEGIN ');
}

/**
 * The blocks of a PEM file in order; text around them is left out, as other tools do. InvalidArgs when a
 * block is not whole, is not base64, has encryption headers, or is a private key.
 */
export function parsePem(bytes: Uint8Array, what: string): readonly PemBlock[] {
  if (bytes.length > maxInputBytes) refuse(what, `is larger than ${maxInputBytes} bytes`);
  const blocks: PemBlock[] = [];
  let open: { readonly label: string; readonly lines: string[] } | undefined;
  for (const line of Buffer.from(bytes)
    .toString('latin1')
    .split(/\r\n|\n|\r/)) {
    const [, kind, label] = boundary.exec(line.trimEnd()) ?? [];
    if (kind === undefined || label === undefined) {
      if (line.includes('-----BEGIN ') || line.includes('-----END ')) {
        refuse(what, 'has a malformed PEM boundary');
      }
      open?.lines.push(line.trim());
    } else if (kind === 'BEGIN') {
      if (open !== undefined) refuse(what, 'has a PEM block that does not end');
      if (label.endsWith('PRIVATE KEY')) refuse(what, 'holds a private key');
      open = { label, lines: [] };
    } else {
      if (open?.label !== label) refuse(what, 'has a PEM block that does not begin');
      if (blocks.push({ label, der: decodeBody(open.lines, what) }) > maxBlocks) {
        refuse(what, `has more than ${maxBlocks} PEM blocks`);
      }
      open = undefined;
    }
  }
  if (open !== undefined) refuse(what, 'has a PEM block that does not end');
  return blocks;
}

/** The only block of a PEM file, which must have one of the labels; else InvalidArgs. */
export function parseOnePem(bytes: Uint8Array, labels: readonly string[], what: string): Buffer {
  const [block, more] = parsePem(bytes, what);
  if (block === undefined || more !== undefined || !labels.includes(block.label)) {
    refuse(what, `is not one PEM block ${labels.join(' or ')}`);
  }
  return block.der;
}

/** DER as a PEM block, ending in a line feed. */
export function encodePem(der: Uint8Array, label: string): string {
  const body = Buffer.from(der)
    .toString('base64')
    .replace(/.{64}(?=.)/g, '$&\n');
  return `-----BEGIN ${label}-----\n${body}\n-----END ${label}-----\n`;
}

function decodeBody(lines: readonly string[], what: string): Buffer {
  const body = lines.join('');
  if (body.includes(':')) refuse(what, 'has a PEM block with headers');
  if (body === '' || !base64.test(body)) refuse(what, 'has a PEM block that is not base64');
  return Buffer.from(body, 'base64');
}

function refuse(what: string, why: string): never {
  throw new ServiceError('InvalidArgs', `${what} ${why}`);
}
