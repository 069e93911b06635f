import { fixedHeaderBytes, headerSize, messageSize, readMessage } from './codec.ts';
import { type IncomingMessage, messageType } from './message.ts';

/** More than any method takes; the body of a larger call, or signal, is never held in memory. */
export const maxCallBytes = 4 << 20;
const maxHeaderBytes = 64 << 10;

/** The bytes that a bus sends, as messages. */
export class Inbox {
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;
  /** What came behind `#bytes`; joined to it once that makes a whole message. */
  #more: Buffer[] = [];
  #moreBytes = 0;
  #skipBytes = 0;

  /** Takes the next bytes. */
  add(chunk: Buffer): void {
    const skipped = Math.min(this.#skipBytes, chunk.length);
    this.#skipBytes -= skipped;
    if (skipped === chunk.length) return;
    this.#more.push(chunk.subarray(skipped));
    this.#moreBytes += chunk.length - skipped;
  }

  /** The next message that has come whole; TypeError when what comes next is none. */
  next(): IncomingMessage | undefined {
    while (this.#has(fixedHeaderBytes)) {
      const header = this.#bytes.subarray(this.#at, this.#at + fixedHeaderBytes);
      const size = messageSize(header);
      const kept = keptBytes(header, size);
      if (!this.#has(kept)) return undefined;
      const bytes = this.#bytes.subarray(this.#at, this.#at + kept);
      this.#skip(size, kept);
      try {
        return readMessage(bytes, size);
      } catch {
        // dropped, as sd-bus does: no sender may cost us the bus by what the bus forwards unread
      }
    }
    return undefined;
  }

  #has(bytes: number): boolean {
    const left = this.#bytes.length - this.#at;
    if (left >= bytes) return true;
    if (left + this.#moreBytes < bytes) return false;
    const [only = this.#bytes, ...others] = this.#more;
    const join = left > 0 || others.length > 0;
    this.#bytes = join ? Buffer.concat([this.#bytes.subarray(this.#at), ...this.#more]) : only;
    this.#at = 0;
    this.#more = [];
    this.#moreBytes = 0;
    return true;
  }

  /** Steps over a message of which so many bytes are there. */
  #skip(size: number, kept: number): void {
    this.#at += kept;
    if (size === kept) return;
    const here = Math.min(size - kept, this.#bytes.length - this.#at);
    this.#at += here;
    this.#skipBytes = size - kept - here;
    const more = this.#more;
    this.#more = [];
    this.#moreBytes = 0;
    for (const chunk of more) this.add(chunk);
  }
}

/** All of a message, or the header of what is too large; of a header that is too large what cannot be read. */
function keptBytes(header: Buffer, size: number): number {
  const type = header[1];
  const wanted = type === messageType.reply || type === messageType.error;
  if (size <= maxCallBytes || wanted) return size;
  const bytes = headerSize(header);
  return bytes <= maxHeaderBytes ? bytes : fixedHeaderBytes;
}
