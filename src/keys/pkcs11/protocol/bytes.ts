/** The bytes of a message do not follow the protocol. */
export class MalformedMessage extends Error {
  override readonly name = 'MalformedMessage';
}

const firstCapacity = 256;
/** The elements of all lists of a message: more than a token of 10000 objects has attributes. */
const maxElements = 1 << 20;

/** Encodes a message. The buffer that it outgrows is wiped, since messages contain PINs and key material. */
export class ByteWriter {
  #bytes = Buffer.allocUnsafe(firstCapacity);
  #length = 0;

  u8(value: number): void {
    const at = this.#advance(1);
    this.#bytes.writeUInt8(value, at);
  }

  u32(value: number): void {
    const at = this.#advance(4);
    this.#bytes.writeUInt32LE(value, at);
  }

  f64(value: number): void {
    const at = this.#advance(8);
    this.#bytes.writeDoubleLE(value, at);
  }

  /** Bytes after their length. */
  bytes(value: Uint8Array): void {
    this.u32(value.length);
    const at = this.#advance(value.length);
    this.#bytes.set(value, at);
  }

  /** Overwrites a number that was written before. */
  replaceU32(value: number, at: number): void {
    this.#bytes.writeUInt32LE(value, at);
  }

  /** The message. The caller wipes it after use. */
  finish(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Makes space for bytes; returns their position. */
  #advance(count: number): number {
    const at = this.#length;
    this.#length += count;
    if (this.#length > this.#bytes.length) {
      const outgrown = this.#bytes;
      this.#bytes = Buffer.allocUnsafe(Math.max(this.#length, 2 * outgrown.length));
      outgrown.copy(this.#bytes);
      outgrown.fill(0);
    }
    return at;
  }
}

/** Decodes a message of another process, whose lengths may lie. */
export class ByteReader {
  readonly #bytes: Buffer;
  #position = 0;
  #elements = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get remaining(): number {
    return this.#bytes.length - this.#position;
  }

  u8(): number {
    return this.#bytes.readUInt8(this.#take(1));
  }

  u32(): number {
    return this.#bytes.readUInt32LE(this.#take(4));
  }

  f64(): number {
    return this.#bytes.readDoubleLE(this.#take(8));
  }

  /** A copy of the bytes: the message is wiped after it was read. */
  bytes(): Buffer {
    const length = this.u32();
    const start = this.#take(length);
    return Buffer.from(this.#bytes.subarray(start, start + length));
  }

  /** The number of elements of a list, each of a byte or more: a number that lies allocates nothing. */
  count(): number {
    const count = this.u32();
    if (count > this.remaining) throw new MalformedMessage(`${count} elements`);
    this.#elements += count;
    if (this.#elements > maxElements) throw new MalformedMessage('too many elements');
    return count;
  }

  /** Throws when something follows. */
  end(): void {
    if (this.remaining > 0) throw new MalformedMessage(`${this.remaining} bytes follow`);
  }

  #take(count: number): number {
    if (count > this.remaining) throw new MalformedMessage(`it ends ${count} bytes too early`);
    const start = this.#position;
    this.#position += count;
    return start;
  }
}
