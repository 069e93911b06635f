/**
 * Splits BER into its elements without decoding values: each refers to the exact bytes that it was read from, and a
 * malformed value does not affect its neighbours.
 */

/** One element, as views of the bytes that it was read from. */
export interface Tlv {
  /** The first octet: class, whether it is constructed, and the number of the tag when that is below 31. */
  readonly tag: number;
  /** Header, content and, for an indefinite length, the end mark. */
  readonly bytes: Buffer;
  readonly content: Buffer;
}

/** First octets of the elements that are searched for. */
export const tags = { oid: 0x06, sequence: 0x30, context0: 0xa0, context3: 0xa3 } as const;

const constructed = 0x20;
const maxDepth = 32;

/** The element at the beginning of the bytes; undefined when it is incomplete. */
export function firstElement(bytes: Buffer, depth = 0): Tlv | undefined {
  const [tag] = bytes;
  const start = tag === undefined ? undefined : endOfTag(bytes);
  const first = start === undefined ? undefined : bytes[start];
  if (tag === undefined || start === undefined || first === undefined) return undefined;
  if (first === 0x80) {
    const isConstructed = (tag & constructed) !== 0;
    return isConstructed ? indefinite(bytes, { tag, from: start + 1, depth }) : undefined;
  }
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
  const from = start + 1 + lengthBytes;
  if (lengthBytes > 4 || from > bytes.length) return undefined;
  const length = lengthBytes === 0 ? first : bytes.readUIntBE(start + 1, lengthBytes);
  const end = from + length;
  if (end > bytes.length) return undefined;
  return { tag, bytes: bytes.subarray(0, end), content: bytes.subarray(from, end) };
}

/** The elements in order, up to the first incomplete one. */
export function* elementsIn(bytes: Buffer): Generator<Tlv> {
  for (let rest = bytes; rest.length > 0; ) {
    const element = firstElement(rest);
    if (element === undefined) return;
    yield element;
    rest = rest.subarray(element.bytes.length);
  }
}

/** Whether a byte is padding, as in fixed-size storage, or a line end, as in a text. */
export function isPadding(byte: number): boolean {
  return byte === 0 || byte === 0xff || byte === 0x0a || byte === 0x0d;
}

/** The offset of the length; a tag of 31 and more has further octets. */
function endOfTag(bytes: Buffer): number | undefined {
  let at = 1;
  if (((bytes[0] ?? 0) & 0x1f) === 0x1f) {
    while (((bytes[at] ?? 0) & 0x80) !== 0) at++;
    at++;
  }
  return at < bytes.length ? at : undefined;
}

/** An element of indefinite length, which ends with two zero octets after its members. */
function indefinite(
  bytes: Buffer,
  { tag, from, depth }: { readonly tag: number; readonly from: number; readonly depth: number },
): Tlv | undefined {
  if (depth >= maxDepth) return undefined;
  for (let at = from; at + 1 < bytes.length; ) {
    if (bytes.readUInt16BE(at) === 0) {
      return { tag, bytes: bytes.subarray(0, at + 2), content: bytes.subarray(from, at) };
    }
    const member = firstElement(bytes.subarray(at), depth + 1);
    if (member === undefined) return undefined;
    at += member.bytes.length;
  }
  return undefined;
}
