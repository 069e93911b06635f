import { Socket } from 'node:net';
import { MalformedMessage } from '../protocol/bytes.ts';
import { FrameSplitter, joinFrames } from '../protocol/frames.ts';
import { encodeAlive } from '../protocol/messages.ts';

/** Linux passes at most about 200 KiB at a time. */
const receiveBufferBytes = 128 << 10;
/** Replies wait no longer than this for others of the same chunk: the service has work to do with them. */
const gatherMs = 1;
/** The interval of heartbeats while a request is pending. */
const aliveMs = 5_000;
/** The same while functions of the library block the process. */
const blockedAliveMs = 1_000;

export interface ConnectionListener {
  /** A request has arrived; it is wiped when this returns. */
  request(frame: Buffer): void;
  /** The service has closed the connection, or it failed. */
  closed(): void;
  malformed(error: MalformedMessage): void;
}

/**
 * The connection to the service. The replies to the requests of one chunk are sent with one write. One buffer receives
 * everything and is wiped, as are the replies when they were written: both contain secrets.
 */
export class Connection {
  readonly #socket: Socket;
  readonly #listener: ConnectionListener;
  readonly #splitter: FrameSplitter;
  #open = 0;
  #isReceiving = false;
  #gathered: Buffer[] = [];
  /** When something was written, or a chunk arrived, for the last time. */
  #since = 0;
  #flush: NodeJS.Immediate | undefined;
  #alive: NodeJS.Timeout | undefined;

  constructor(fd: number, listener: ConnectionListener) {
    this.#listener = listener;
    this.#splitter = new FrameSplitter((frame) => {
      this.#open++;
      listener.request(frame);
    });
    const buffer = Buffer.alloc(receiveBufferBytes);
    const callback = (length: number): boolean => this.#receive(buffer.subarray(0, length));
    // the constructor takes `onread` too, but its type does not list it
    const options = { fd, onread: { buffer, callback } };
    this.#socket = new Socket(options);
    // `close` follows
    this.#socket.on('error', () => undefined);
    this.#socket.on('close', () => listener.closed());
  }

  /** Sends the reply to one request, soon. */
  reply(frame: Buffer): void {
    this.#open--;
    this.#gathered.push(frame);
    if (!this.#isReceiving) this.#flush ??= setImmediate(() => this.flush());
    else if (performance.now() - this.#since > gatherMs) this.flush();
  }

  /** Sends the replies that have been gathered. */
  flush(): void {
    if (this.#flush !== undefined) clearImmediate(this.#flush);
    this.#flush = undefined;
    if (this.#gathered.length === 0) return;
    const frames = this.#gathered;
    this.#gathered = [];
    this.#write(joinFrames(frames));
  }

  /** Shows that the process lives after a function of the library has blocked it. */
  keepAlive(): void {
    if (this.#open > 0 && performance.now() - this.#since > blockedAliveMs) this.#sendAlive();
  }

  #receive(chunk: Buffer): boolean {
    this.#isReceiving = true;
    this.#since = performance.now();
    try {
      this.#splitter.push(chunk);
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error;
      this.#listener.malformed(error);
    }
    this.#isReceiving = false;
    this.flush();
    if (this.#open > 0) this.#alive ??= setInterval(() => this.#tick(), aliveMs);
    return true;
  }

  #tick(): void {
    if (this.#open > 0) {
      this.#sendAlive();
      return;
    }
    clearInterval(this.#alive);
    this.#alive = undefined;
  }

  #sendAlive(): void {
    this.flush();
    this.#write(encodeAlive());
  }

  /** Writes at once, so that it arrives even when a function of the library blocks the process next. */
  #write(bytes: Buffer): void {
    this.#since = performance.now();
    this.#socket.write(bytes, () => bytes.fill(0));
  }
}
