/** A DER element; its bytes are a view. */
export interface Element {
  readonly tag: number;
  readonly bytes: Buffer;
}

/** The DER tags in keys. */
export const tags = { integer: 0x02, bits: 0x03, octets: 0x04, sequence: 0x30 } as const;

/** The elements of a SEQUENCE. TypeError unless it spans all of the bytes. */
export function members(sequence: Buffer): readonly (Element | undefined)[] {
  const found: Element[] = [];
  const { element, end } = elementAt(sequence, 0);
  if (end !== sequence.length) throw malformed();
  const body = content(element, tags.sequence);
  for (let at = 0; at < body.length; ) {
    const next = elementAt(body, at);
    found.push(next.element);
    at = next.end;
  }
  return found;
}

/** The content of an element. TypeError unless it has the tag. */
export function content(element: Element | undefined, tag: number): Buffer {
  if (element?.tag !== tag) throw malformed();
  return element.bytes;
}

/** The bytes in the content of a BIT STRING. TypeError unless its bits fill whole bytes. */
export function wholeBits(bytes: Buffer): Buffer {
  if (bytes[0] !== 0) throw malformed();
  return bytes.subarray(1);
}

function elementAt(der: Buffer, at: number): { readonly element: Element; readonly end: number } {
  const first = der[at + 1] ?? 0xff;
  const count = first < 0x80 ? 0 : first & 0x7f;
  if (first === 0x80 || count > 4 || at + 2 + count > der.length) throw malformed();
  const length = count === 0 ? first : der.readUIntBE(at + 2, count);
  const start = at + 2 + count;
  const end = start + length;
  if (end > der.length) throw malformed();
  return { element: { tag: der[at] ?? 0, bytes: der.subarray(start, end) }, end };
}

function malformed(): TypeError {
  return new TypeError('not the DER that was expected');
}
