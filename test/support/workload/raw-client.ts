import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { deadline, until } from '../deadline.ts';

/** A response, as received. */
export interface RawResponse {
  readonly statusLine: string;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

/** An HTTP client that sends arbitrary bytes. */
export class RawClient implements Disposable {
  readonly socket: Socket;
  #received = Buffer.alloc(0);
  #ended = false;
  #error: NodeJS.ErrnoException | undefined;

  constructor(socketPath: string) {
    this.socket = connect({ path: socketPath, allowHalfOpen: true });
    this.socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
    });
    this.socket.on('end', () => {
      this.#ended = true;
    });
    this.socket.on('error', (error) => {
      this.#error = error;
    });
  }

  /** The received bytes after the responses that were read. */
  get unread(): string {
    return this.#received.toString();
  }

  /** The code of the error that ended the connection. */
  get errorCode(): string | undefined {
    return this.#error?.code;
  }

  send(...parts: readonly (string | Buffer)[]): this {
    for (const part of parts) this.socket.write(part);
    return this;
  }

  /** The next response, which has a Content-Length or is a 100 without a body. */
  async response(): Promise<RawResponse> {
    let found: RawResponse | undefined;
    await until(20_000, 'a response', () => {
      found = this.#take();
      if (found !== undefined) return true;
      if (this.#ended || this.#error !== undefined) {
        throw new Error(`the connection ended (${this.errorCode}) after ${this.unread}`);
      }
      return false;
    });
    if (found === undefined) throw new TypeError('there is one');
    return found;
  }

  /** Waits until the server has closed its side. */
  async untilEnd(): Promise<void> {
    await until(20_000, 'the end', () => this.#ended || this.#error !== undefined);
  }

  /** Waits until all bytes are handed over to the kernel. */
  async untilSent(): Promise<void> {
    if (this.socket.writableLength > 0) {
      await deadline(20_000, once(this.socket, 'drain'), 'all to be sent');
    }
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }

  #take(): RawResponse | undefined {
    const headEnd = this.#received.indexOf('\r\n\r\n');
    if (headEnd < 0) return undefined;
    const [statusLine = '', ...lines] = this.#received
      .subarray(0, headEnd)
      .toString()
      .split('\r\n');
    const headers = new Map(
      lines.map((line) => {
        const at = line.indexOf(':');
        return [line.slice(0, at).toLowerCase(), line.slice(at + 1).trim()];
      }),
    );
    const bodyStart = headEnd + 4;
    const bodyEnd = bodyStart + Number(headers.get('content-length') ?? 0);
    if (this.#received.length < bodyEnd) return undefined;
    const body = this.#received.subarray(bodyStart, bodyEnd).toString();
    this.#received = this.#received.subarray(bodyEnd);
    return { statusLine, headers, body };
  }
}

/** The text of a request, with an optional body. */
export function rawRequest(
  line: string,
  { headers = {}, body = '' }: { headers?: Readonly<Record<string, string>>; body?: string } = {},
): string {
  const all = {
    Host: 'localhost',
    ...(body !== '' && { 'Content-Length': String(Buffer.byteLength(body)) }),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${line} HTTP/1.1\r\n${lines.join('')}\r\n${body}`;
}
