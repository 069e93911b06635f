import { connect, type Socket } from 'node:net';
import { deadline } from '../../support/deadline.ts';
import type { Pace } from '../pace.ts';
import { quantile } from '../result.ts';

/** A request, whole. */
export function requestText(method: string, path: string, body = ''): string {
  const head = [
    `${method} ${path} HTTP/1.1`,
    'Host: workload.sock:80',
    ...(body === '' ? [] : ['Content-Type: application/json']),
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  return `${head.join('\r\n')}\r\n\r\n${body}`;
}

/** One connection, which sends one request at a time: cheap, so that the cost of a client is small. */
class Connection implements Disposable {
  readonly #socket: Socket;
  #read: Buffer = Buffer.alloc(0);
  #settle: ((status: number) => void) | undefined;

  constructor(path: string) {
    this.#socket = connect(path);
    this.#socket.on('data', (chunk) => this.#take(chunk));
  }

  /** Resolves with the status of the response. */
  send(text: string): Promise<number> {
    return new Promise((resolve) => {
      this.#settle = resolve;
      this.#socket.write(text);
    });
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    this.#read = this.#read.length === 0 ? chunk : Buffer.concat([this.#read, chunk]);
    const end = this.#read.indexOf('\r\n\r\n');
    if (end < 0) return;
    const head = this.#read.toString('latin1', 0, end);
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
    if (this.#read.length < end + 4 + length) return;
    this.#read = Buffer.alloc(0);
    this.#settle?.(Number(head.slice(9, 12)));
  }
}

/** What is sent to a socket, on how many connections at once. */
export interface Load {
  readonly socketPath: string;
  readonly request: string;
  readonly connections: number;
}

/** Sends the request again and again until `stop` returns true; throws unless every response is a 200. */
export async function load(
  { socketPath, request, connections }: Load,
  stop: (done: number) => boolean,
): Promise<Pace> {
  const times: number[] = [];
  const startedAt = performance.now();
  const work = async (): Promise<void> => {
    using connection = new Connection(socketPath);
    while (!stop(times.length)) {
      const at = performance.now();
      const status = await connection.send(request);
      if (status !== 200) throw new Error(`a response is ${status}`);
      times.push(performance.now() - at);
    }
  };
  const all = Promise.all(Array.from({ length: connections }, work));
  await deadline(120_000, all, 'the responses');
  const seconds = (performance.now() - startedAt) / 1000;
  return {
    perSecond: times.length / seconds,
    p50: quantile(times, 0.5) * 1000,
    p99: quantile(times, 0.99) * 1000,
  };
}
