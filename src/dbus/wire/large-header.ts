import {
  alignmentOfCode,
  type FixedHeader,
  fixedHeaderBytes,
  type HeaderFields,
  maxFieldsBytes,
  replySerialCode,
  textFields,
} from './reader.ts';

/** The result of a step: the bytes that are consumed, and the bytes after them to skip. */
export type HeaderStep =
  | { readonly kind: 'going'; readonly used: number; readonly skip: number }
  | {
      readonly kind: 'done';
      readonly used: number;
      readonly skip: number;
      readonly fields: HeaderFields;
    }
  | { readonly kind: 'malformed'; readonly used: number; readonly skip: number };

/** More than any program sends; each costs a step. */
const maxFields = 64;

/**
 * Extracts the known fields from a header that is too large to be held, as it arrives, so that its call can be
 * rejected with an error: the bus puts the sender last. Unknown values, and names that are too long, are skipped by
 * their length; a structure or a variant, which has none, ends the reading.
 */
export class LargeHeader {
  readonly fixed: FixedHeader;
  /** The contiguous bytes that the next step needs; 0 at the end of the fields. */
  wanted = 2;
  #position = fixedHeaderBytes;
  #fields: HeaderFields = {};
  #count = 0;
  #storedBytes = 0;
  #taken = 0;

  constructor(fixed: FixedHeader) {
    this.fixed = fixed;
  }

  /** Processes the wanted bytes, the first ones of a field. */
  take(bytes: Buffer): HeaderStep {
    this.#taken = bytes.length;
    if (bytes.length === 0) return this.#end();
    const typeLength = bytes[1] ?? 0;
    // code, the length of the type, the type with its NUL, and room for an aligned length
    const head = 3 + typeLength;
    if (bytes.length < head) return this.#want(head);
    const type = bytes.toString('latin1', 2, 2 + typeLength);
    return this.#takeField(bytes, bytes[0] ?? 0, { type, head });
  }

  #takeField(
    bytes: Buffer,
    code: number,
    { type, head }: { readonly type: string; readonly head: number },
  ): HeaderStep {
    const at = this.#aligned(head, alignmentOfCode(type));
    if (type === 'g') return this.#takeText(bytes, code, { type, lengthAt: at, lengthBytes: 1 });
    if (type === 's' || type === 'o') {
      return this.#takeText(bytes, code, { type, lengthAt: at, lengthBytes: 4 });
    }
    if (type.startsWith('a')) return this.#skipArray(bytes, at, type[1] ?? '');
    if (type.length !== 1 || type === 'v') return this.#stop();
    const end = at + alignmentOfCode(type);
    if (bytes.length < end) return this.#want(end);
    if (code === replySerialCode && type === 'u')
      this.#fields.replySerial = this.#uint32(bytes, at);
    return this.#next(end, 0);
  }

  #takeText(
    bytes: Buffer,
    code: number,
    text: { readonly type: string; readonly lengthAt: number; readonly lengthBytes: 1 | 4 },
  ): HeaderStep {
    const { type, lengthAt, lengthBytes } = text;
    const start = lengthAt + lengthBytes;
    if (bytes.length < start) return this.#want(start);
    const length = lengthBytes === 1 ? (bytes[lengthAt] ?? 0) : this.#uint32(bytes, lengthAt);
    const known = textFields.get(code);
    if (known !== undefined && known[1] !== type) return this.#stop();
    const isStored = known !== undefined && this.#storedBytes + length <= maxFieldsBytes;
    if (!isStored) return this.#next(start, length + 1);
    const end = start + length + 1;
    if (bytes.length < end) return this.#want(end);
    this.#storedBytes += length;
    this.#fields[known[0]] = bytes.toString('utf8', start, start + length);
    return this.#next(end, 0);
  }

  #skipArray(bytes: Buffer, lengthAt: number, element: string): HeaderStep {
    const lengthEnd = lengthAt + 4;
    if (bytes.length < lengthEnd) return this.#want(lengthEnd);
    const start = this.#aligned(lengthEnd, alignmentOfCode(element));
    return this.#next(lengthEnd, start - lengthEnd + this.#uint32(bytes, lengthAt));
  }

  #uint32(bytes: Buffer, at: number): number {
    return this.fixed.littleEndian ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at);
  }

  /** Aligns an offset from the start of the field, which is aligned to 8. */
  #aligned(offset: number, alignment: number): number {
    return (offset + alignment - 1) & ~(alignment - 1);
  }

  #want(bytes: number): HeaderStep {
    if (this.#position + bytes > this.#limit) return this.#stop();
    this.wanted = bytes;
    return { kind: 'going', used: 0, skip: 0 };
  }

  /** Continues with the next field. */
  #next(used: number, skip: number): HeaderStep {
    const end = this.#position + used + skip;
    if (end > this.#limit || ++this.#count > maxFields) return this.#stop();
    const padding = end < this.#limit ? (8 - (end & 7)) & 7 : 0;
    this.#position = end + padding;
    this.wanted = this.#position < this.#limit ? 2 : 0;
    return { kind: 'going', used, skip: skip + padding };
  }

  #end(): HeaderStep {
    const skip = this.fixed.headerBytes - this.#position;
    return { kind: 'done', used: 0, skip, fields: this.#fields };
  }

  #stop(): HeaderStep {
    const { headerBytes, bodyBytes } = this.fixed;
    const used = this.#taken;
    return { kind: 'malformed', used, skip: headerBytes - this.#position - used + bodyBytes };
  }

  get #limit(): number {
    return fixedHeaderBytes + this.fixed.fieldsBytes;
  }
}
