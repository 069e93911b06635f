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
export const tags = {
  oid: 0x06,
  sequence: 0x30,
  utcTime: 0x17,
  generalizedTime: 0x18,
  set: 0x31,
  context0: 0xa0,
  context3: 0xa3,
} as const;

const constructed = 0x20;
const maxDepth = 32;

/** The offsets of one element in the bytes that it is read from: cheaper than views of them. */
export interface Span {
  readonly tag: number;
  readonly start: number;
  /** The beginning and the end of the content. */
  readonly from: number;
  readonly to: number;
  readonly end: number;
}

/** The element at an offset, not beyond a limit; undefined when it is incomplete. */
export function spanAt(
  bytes: Buffer,
  start: number,
  limit = bytes.length,
  depth = 0,
): Span | undefined {
  const at = endOfTag(bytes, start, limit);
  const tag = bytes[start];
  const first = at === undefined ? undefined : bytes[at];
  if (tag === undefined || at === undefined || first === undefined) return undefined;
  if (first === 0x80) {
    const isConstructed = (tag & constructed) !== 0;
    return isConstructed ? indefinite(bytes, { start, from: at + 1, limit, depth }) : undefined;
  }
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
  const from = at + 1 + lengthBytes;
  if (lengthBytes > 4 || from > limit) return undefined;
  const to = from + (lengthBytes === 0 ? first : bytes.readUIntBE(at + 1, lengthBytes));
  return to > limit ? undefined : { tag, start, from, to, end: to };
}

/** The elements in the content of one; undefined unless they are all of it. */
export function spansIn(bytes: Buffer, { from, to }: Span): readonly Span[] | undefined {
  const spans: Span[] = [];
  for (let at = from; at < to; ) {
    const span = spanAt(bytes, at, to);
    if (span === undefined) return undefined;
    spans.push(span);
    at = span.end;
  }
  return spans;
}

/** An element as views of the bytes that its offsets refer to. */
export function viewOf(bytes: Buffer, { tag, start, from, to, end }: Span): Tlv {
  return { tag, bytes: bytes.subarray(start, end), content: bytes.subarray(from, to) };
}

/** The element at the beginning of the bytes; undefined when it is incomplete. */
export function firstElement(bytes: Buffer): Tlv | undefined {
  const span = spanAt(bytes, 0);
  return span && viewOf(bytes, span);
}

/** The elements in order, up to the first incomplete one. */
export function* elementsIn(bytes: Buffer): Generator<Tlv> {
  for (let at = 0; at < bytes.length; ) {
    const span = spanAt(bytes, at);
    if (span === undefined) return;
    yield viewOf(bytes, span);
    at = span.end;
  }
}

/** Whether a byte is padding, as in fixed-size storage, or a line end, as in a text. */
export function isPadding(byte: number): boolean {
  return byte === 0 || byte === 0xff || byte === 0x0a || byte === 0x0d;
}

/** The offset of the length; a tag of 31 and more has further octets. */
function endOfTag(bytes: Buffer, start: number, limit: number): number | undefined {
  let at = start + 1;
  if (((bytes[start] ?? 0) & 0x1f) === 0x1f) {
    while (at < limit && ((bytes[at] ?? 0) & 0x80) !== 0) at++;
    at++;
  }
  return at < limit ? at : undefined;
}

/** An element of indefinite length, which ends with two zero octets after its members. */
function indefinite(
  bytes: Buffer,
  {
    start,
    from,
    limit,
    depth,
  }: {
    readonly start: number;
    readonly from: number;
    readonly limit: number;
    readonly depth: number;
  },
): Span | undefined {
  if (depth >= maxDepth) return undefined;
  for (let at = from; at + 1 < limit; ) {
    if (bytes.readUInt16BE(at) === 0) {
      return { tag: bytes[start] ?? 0, start, from, to: at, end: at + 2 };
    }
    const member = spanAt(bytes, at, limit, depth + 1);
    if (member === undefined) return undefined;
    at = member.end;
  }
  return undefined;
}
