import { readersOf } from './codec.ts';
import { LargeHeader } from './large-header.ts';
import { type MessageHeader, messageFlag, messageType } from './message.ts';
import {
  type FixedHeader,
  fixedHeaderBytes,
  headerOf,
  isLargeHeader,
  parseFixedHeader,
  parseHeader,
  WireReader,
} from './reader.ts';

const none = Buffer.alloc(0);
/** Only the known fields of a larger header are held. */
const maxHeldHeaderBytes = 16 << 10;

/**
 * A received message. Its body is decoded on demand, and not held when it is larger than its receiver accepts. It may
 * be in the receive buffer, which is reused: `detach` before waiting.
 */
export class IncomingMessage {
  readonly header: MessageHeader;
  #body: Buffer | undefined;
  #owned: boolean;

  /** `body` is undefined when it was skipped; `owned` when its bytes are not in the receive buffer. */
  constructor(header: MessageHeader, body: Buffer | undefined, owned: boolean) {
    this.header = header;
    this.#body = body;
    this.#owned = owned;
  }

  /** Whether the body was larger than its receiver accepts. */
  get isSkipped(): boolean {
    return this.#body === undefined;
  }

  /** The memory that the message needs. */
  get sizeBytes(): number {
    return Math.min(this.header.headerBytes, maxHeldHeaderBytes) + (this.#body?.length ?? 0);
  }

  get wantsReply(): boolean {
    return (this.header.flags & messageFlag.noReplyExpected) === 0;
  }

  /** A reader at the start of the body; arrays and dictionaries may have at most `maxElements` in all. */
  reader(maxElements: number): WireReader {
    // a body is aligned to 8 in its message, so alignment may count from its start
    return new WireReader(this.#body ?? none, 0, {
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

  /** Wipes and drops the body once it was decoded, or will not be. The receive buffer is wiped by its owner. */
  release(): void {
    if (this.#owned) this.#body?.fill(0);
    this.#body = undefined;
  }
}

/**
 * Returns the largest body to hold for a header; a larger one is skipped as it arrives, and the message delivered
 * without it. Undefined for a message that is not wanted at all.
 */
export type AcceptBody = (header: MessageHeader) => number | undefined;

/** A message whose body has not arrived completely. */
interface Unfinished {
  readonly header: MessageHeader;
  readonly body: Buffer;
  filled: number;
}

/**
 * Splits the bytes of a bus into messages. No more is held than a receiver accepts, however the bytes are chunked:
 *
 *   16 bytes ─► fields ≤ 16 KiB ──────────────► judged by its header ─► body held ─► message
 *      └──────► larger: known fields picked out ──┘       └───► body skipped ───► message without it, or none
 */
export class Inbox implements Disposable {
  readonly #accept: AcceptBody;
  /** The current chunk, and how much of it is consumed. */
  #chunk: Buffer = none;
  #at = 0;
  /** The start of a header that spans chunks. */
  #held: Buffer = none;
  #large: LargeHeader | undefined;
  #unfinished: Unfinished | undefined;
  #skipBytes = 0;

  constructor(accept: AcceptBody) {
    this.#accept = accept;
  }

  /** Adds the next chunk; the one before must be consumed: `next` has returned undefined. */
  add(chunk: Buffer): void {
    this.#chunk = chunk;
    this.#at = 0;
  }

  /**
   * The next message that has arrived, whose body is valid until the next call unless it is detached; undefined when
   * all bytes are consumed. TypeError for bytes that cannot begin a message.
   */
  next(): IncomingMessage | undefined {
    for (;;) {
      this.#skip();
      if (this.#skipBytes > 0) return undefined;
      if (this.#unfinished !== undefined) return this.#finishBody(this.#unfinished);
      const header = this.#large === undefined ? this.#readHeader() : this.#pickFields(this.#large);
      if (header === 'more') return undefined;
      const message = header === 'malformed' ? undefined : this.#begin(header);
      if (message !== undefined) return message;
    }
  }

  /** Wipes the unfinished message of a closed connection. */
  [Symbol.dispose](): void {
    this.#unfinished?.body.fill(0);
    this.#unfinished = undefined;
  }

  get #left(): number {
    return this.#chunk.length - this.#at;
  }

  #skip(): void {
    const bytes = Math.min(this.#skipBytes, this.#left);
    this.#skipBytes -= bytes;
    this.#at += bytes;
  }

  /** The first bytes of the header; undefined when they have not arrived. */
  #peek(bytes: number): Buffer | undefined {
    if (this.#held.length === 0 && this.#left >= bytes) {
      return this.#chunk.subarray(this.#at, this.#at + bytes);
    }
    const missing = bytes - this.#held.length;
    if (missing > 0) {
      const more = this.#chunk.subarray(this.#at, this.#at + missing);
      this.#held = Buffer.concat([this.#held, more]);
      this.#at += more.length;
    }
    return this.#held.length < bytes ? undefined : this.#held.subarray(0, bytes);
  }

  /** Consumes bytes that were peeked at. */
  #consume(bytes: number): void {
    if (this.#held.length === 0) {
      this.#at += bytes;
      return;
    }
    this.#held = this.#held.length === bytes ? none : this.#held.subarray(bytes);
  }

  #readHeader(): MessageHeader | 'more' | 'malformed' {
    const start = this.#peek(fixedHeaderBytes);
    if (start === undefined) return 'more';
    const fixed = parseFixedHeader(start);
    if (isLargeHeader(fixed)) {
      this.#consume(fixedHeaderBytes);
      this.#large = new LargeHeader(fixed);
      return this.#pickFields(this.#large);
    }
    const bytes = this.#peek(fixed.headerBytes);
    if (bytes === undefined) return 'more';
    const header = this.#parse(() => parseHeader(bytes, fixed), fixed);
    this.#consume(fixed.headerBytes);
    return header;
  }

  /** Drops a malformed message, as sd-bus does: the bus forwards some unchecked, and none may end the connection. */
  #parse(parse: () => MessageHeader, { bodyBytes }: FixedHeader): MessageHeader | 'malformed' {
    try {
      return parse();
    } catch {
      this.#skipBytes = bodyBytes;
      return 'malformed';
    }
  }

  /** Continues with a header that is too large to be held. */
  #pickFields(large: LargeHeader): MessageHeader | 'more' | 'malformed' {
    for (;;) {
      this.#skip();
      if (this.#skipBytes > 0) return 'more';
      const wanted = large.wanted;
      const bytes = wanted === 0 ? none : this.#peek(wanted);
      if (bytes === undefined) return 'more';
      const step = large.take(bytes);
      this.#consume(step.used);
      this.#skipBytes = step.skip;
      if (step.kind === 'going') continue;
      this.#large = undefined;
      return step.kind === 'malformed' ? step.kind : headerOf(large.fixed, step.fields);
    }
  }

  /** The message when its body is skipped or has arrived; undefined when it is unwanted or its body is outstanding. */
  #begin(header: MessageHeader): IncomingMessage | undefined {
    const { bodyBytes } = header;
    const accepted = isKnownType(header.type) ? this.#accept(header) : undefined;
    if (accepted === undefined || bodyBytes > accepted || isLargeHeader(header)) {
      this.#skipBytes += bodyBytes;
      return accepted === undefined ? undefined : new IncomingMessage(header, undefined, false);
    }
    if (this.#held.length === 0 && this.#left >= bodyBytes) {
      const body = this.#chunk.subarray(this.#at, this.#at + bodyBytes);
      this.#at += bodyBytes;
      return new IncomingMessage(header, body, false);
    }
    this.#unfinished = { header, body: Buffer.allocUnsafe(bodyBytes), filled: 0 };
    return this.#finishBody(this.#unfinished);
  }

  #finishBody(unfinished: Unfinished): IncomingMessage | undefined {
    const { header, body } = unfinished;
    const copied = this.#chunk.copy(body, unfinished.filled, this.#at);
    unfinished.filled += copied;
    this.#at += copied;
    if (unfinished.filled < body.length) return undefined;
    this.#unfinished = undefined;
    return new IncomingMessage(header, body, true);
  }
}

function isKnownType(type: number): boolean {
  return type >= messageType.call && type <= messageType.signal;
}
