/** More than a password has, of those that are keys in base64, too. */
export const maxPasswordBytes = 1024;

const keys = { interrupt: 3, end: 4, backspace: 8, lineFeed: 10, enter: 13, kill: 21, erase: 127 };

/** A password as it was typed, which the caller wipes, or why there is none. */
export type TypedLine = Buffer | 'interrupted' | 'end of input' | 'too long';

/** Reads a line from a terminal in raw mode, with the keys of its line discipline. Chunks are wiped. */
export async function typedLine(terminal: AsyncIterable<Buffer>): Promise<TypedLine> {
  const line = new Line();
  try {
    for await (const piece of terminal) {
      for (const byte of piece) {
        const end = line.type(byte);
        if (end !== undefined) {
          piece.fill(0);
          return end;
        }
      }
      piece.fill(0);
    }
    return 'end of input';
  } finally {
    line.wipe();
  }
}

class Line {
  readonly #octets = Buffer.alloc(maxPasswordBytes);
  #length = 0;

  /** Takes one octet; returns the outcome when it ends the line. */
  type(byte: number): TypedLine | undefined {
    switch (byte) {
      case keys.interrupt:
        return 'interrupted';
      case keys.enter:
      case keys.lineFeed:
        return this.#copy();
      case keys.end:
        return this.#length === 0 ? 'end of input' : this.#copy();
      case keys.kill:
        this.#length = 0;
        return undefined;
      case keys.backspace:
      case keys.erase:
        this.#eraseCharacter();
        return undefined;
      default:
        if (this.#length === maxPasswordBytes) return 'too long';
        this.#octets.writeUInt8(byte, this.#length++);
        return undefined;
    }
  }

  wipe(): void {
    this.#octets.fill(0);
  }

  #copy(): Buffer {
    return Buffer.from(this.#octets.subarray(0, this.#length));
  }

  /** A character of UTF-8 is an octet and those that continue it. */
  #eraseCharacter(): void {
    while (this.#length > 0) {
      const last = this.#octets.readUInt8(--this.#length);
      if ((last & 0xc0) !== 0x80) return;
    }
  }
}

/** A view of octets without the line break at their end. */
export function withoutLineBreak(octets: Buffer): Buffer {
  const withoutFeed = octets.at(-1) === keys.lineFeed ? octets.subarray(0, -1) : octets;
  const hasReturn = withoutFeed !== octets && withoutFeed.at(-1) === keys.enter;
  return hasReturn ? withoutFeed.subarray(0, -1) : withoutFeed;
}
