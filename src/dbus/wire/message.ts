import { Message } from 'dbus-next/lib/message-type.js';
import { readersOf, WireReader } from './reader.ts';

export { Message };

/** Message types of the D-Bus specification. */
export const messageType = { call: 1, reply: 2, error: 3, signal: 4 } as const;

/** Flags of the D-Bus specification. */
export const messageFlag = { noReplyExpected: 1, noAutoStart: 2, allowInteractive: 4 } as const;

/** The header of a received message (D-Bus specification, Message Format). */
export interface MessageHeader {
  readonly type: number;
  readonly flags: number;
  readonly serial: number;
  readonly path: string | undefined;
  readonly interface: string | undefined;
  readonly member: string | undefined;
  readonly errorName: string | undefined;
  readonly replySerial: number | undefined;
  readonly destination: string | undefined;
  readonly sender: string | undefined;
  readonly signature: string;
  readonly littleEndian: boolean;
  readonly fieldsBytes: number;
  readonly headerBytes: number;
  readonly bodyBytes: number;
}

const noBytes = Buffer.alloc(0);
/** Of a larger header no more than its known fields are held. */
const maxHeldHeaderBytes = 16 << 10;

/**
 * A received message. Its body is decoded on demand, and not even held when it is larger than
 * its receiver accepts. The body may stand in the receive buffer, which is used again: `detach` before waiting.
 */
export class IncomingMessage {
  readonly header: MessageHeader;
  #body: Buffer | undefined;
  #owned: boolean;

  /** `body` is undefined when it was skipped. `owned`: the bytes belong to this message alone. */
  constructor(header: MessageHeader, body: Buffer | undefined, owned: boolean) {
    this.header = header;
    this.#body = body;
    this.#owned = owned;
  }

  /** Whether the body was larger than its receiver accepts. */
  get isSkipped(): boolean {
    return this.#body === undefined;
  }

  /** What it costs to hold. */
  get sizeBytes(): number {
    return Math.min(this.header.headerBytes, maxHeldHeaderBytes) + (this.#body?.length ?? 0);
  }

  /** Whether the caller waits for a reply. */
  get wantsReply(): boolean {
    return (this.header.flags & messageFlag.noReplyExpected) === 0;
  }

  /** A reader at the start of the body; reads arrays and dictionaries of at most so many elements in all. */
  reader(maxElements: number): WireReader {
    // a body begins at a multiple of 8, so its own start serves for alignment
    return new WireReader(this.#body ?? noBytes, 0, {
      littleEndian: this.header.littleEndian,
      maxElements,
    });
  }

  /** Decodes the body; RangeError or TypeError when it does not fit its signature, or is not held. */
  decode(maxElements: number): readonly unknown[] {
    if (this.isSkipped) throw new RangeError(`a body of ${this.header.bodyBytes} bytes`);
    const reader = this.reader(maxElements);
    const values = readersOf(this.header.signature).map((read) => read(reader));
    reader.expectEnd();
    return values;
  }

  /** Moves the body out of the receive buffer. */
  detach(): void {
    if (this.#owned || this.#body === undefined) return;
    this.#body = Buffer.from(this.#body);
    this.#owned = true;
  }

  /** Wipes the body and lets go of it: it was decoded, or will not be. The receive buffer is wiped by its owner. */
  release(): void {
    if (this.#owned) this.#body?.fill(0);
    this.#body = undefined;
  }
}
