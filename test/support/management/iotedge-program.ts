/** The requests of Azure's program `iotedge` at the management socket, byte by byte, and what it makes of the answers. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { deadline } from '../deadline.ts';

const version = 'api-version=2020-07-07';
const timeoutMs = 20_000;

/** An answer that ends the program with exit code 1. */
export class ProgramError extends Error {}

/** A module in the list of the program. */
export interface ListedLine {
  readonly name: string;
  readonly status: string;
  readonly description: string;
  readonly config: string;
}

interface Answer {
  readonly status: number;
  readonly chunks: AsyncIterable<Buffer>;
}

/** The program, on a socket. */
export class IotedgeProgram {
  readonly #socketPath: string;
  /** The request lines that it has sent. */
  readonly sent: string[] = [];

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  async list(): Promise<readonly ListedLine[]> {
    const { modules } = await this.#json(`GET /modules?${version}`);
    return (modules as readonly object[]).map(lineOf); // each is looked at
  }

  /** What it prints; with `follow` until the module stops. */
  async *logs(
    module: string,
    { follow = false, tail = 'all', since = daysAgo(1), until = '' } = {},
  ): AsyncGenerator<string> {
    const end = until === '' ? '' : `&until=${until}`;
    const range = `follow=${follow}&tail=${tail}&timestamps=false&since=${since}${end}`;
    const { chunks } = await this.#send(`GET /modules/${module}/logs?${version}&${range}`);
    yield* withoutFrames(chunks);
  }

  async restart(module: string): Promise<void> {
    for (const action of ['stop', 'start']) {
      const { status, chunks } = await this.#send(`POST /modules/${module}/${action}?${version}`);
      await textOf(chunks);
      if (status !== 204) throw new ProgramError(`${action}: ${status}`);
    }
  }

  /** The logs that are part of its archive, by module. */
  async supportBundle(): Promise<ReadonlyMap<string, string>> {
    const logs = new Map<string, string>();
    for (const { name } of await this.list()) {
      let text = '';
      for await (const part of this.logs(name)) text += part;
      logs.set(name, text);
    }
    return logs;
  }

  async #json(line: string): Promise<Readonly<Record<string, unknown>>> {
    const { chunks } = await this.#send(line);
    return JSON.parse(await textOf(chunks)) as Readonly<Record<string, unknown>>; // its caller looks at it
  }

  async #send(line: string): Promise<Answer> {
    this.sent.push(line);
    const socket = connect(this.#socketPath);
    await deadline(timeoutMs, once(socket, 'connect'), 'a connection');
    const host = `${Buffer.from(this.#socketPath).toString('hex')}:0`;
    const length = line.startsWith('POST') ? 'content-length: 0\r\n' : '';
    socket.write(`${line} HTTP/1.1\r\nhost: ${host}\r\n${length}\r\n`);
    const answer = await deadline(timeoutMs, answerOf(socket), `an answer to ${line}`);
    if (answer.status < 400) return answer;
    const { message } = JSON.parse(await textOf(answer.chunks)) as { readonly message: string };
    throw new ProgramError(`${answer.status} ${message}`);
  }
}

function daysAgo(days: number): string {
  return String(Math.floor(Date.now() / 1000) - days * 86_400);
}

/** It does not ask for the end of the connection: the body ends with its length or its last chunk. */
async function answerOf(socket: Socket): Promise<Answer> {
  const data = new Data(socket);
  const [line = '', ...lines] = (await data.until('\r\n\r\n')).split('\r\n');
  const headers = new Map(
    lines.map((text) => [text.slice(0, text.indexOf(':')).toLowerCase(), text] as const),
  );
  const status = Number(line.split(' ')[1]);
  const length = Number(/\d+/.exec(headers.get('content-length') ?? '')?.[0] ?? 0);
  const isChunked = /: *chunked$/.test(headers.get('transfer-encoding') ?? '');
  const chunks = isChunked ? chunksOf(data) : single(await data.take(length), socket);
  return { status, chunks };
}

async function* single(body: Buffer, socket: Socket): AsyncGenerator<Buffer> {
  socket.destroy();
  yield body;
}

async function* chunksOf(data: Data): AsyncGenerator<Buffer> {
  try {
    for (;;) {
      const length = Number.parseInt(await data.until('\r\n'), 16);
      const chunk = await data.take(length);
      await data.until('\r\n');
      if (length === 0) return;
      yield chunk;
    }
  } finally {
    data.close();
  }
}

/** The bytes of a connection, in order. */
class Data {
  readonly #socket: Socket;
  readonly #parts: AsyncIterator<Buffer>;
  #read = Buffer.alloc(0);

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#parts = (socket as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  }

  async until(end: string): Promise<string> {
    while (!this.#read.includes(end)) await this.#more();
    const at = this.#read.indexOf(end);
    const text = this.#read.subarray(0, at).toString('latin1');
    this.#read = this.#read.subarray(at + end.length);
    return text;
  }

  async take(length: number): Promise<Buffer> {
    while (this.#read.length < length) await this.#more();
    const taken = this.#read.subarray(0, length);
    this.#read = this.#read.subarray(length);
    return taken;
  }

  close(): void {
    this.#socket.destroy();
  }

  async #more(): Promise<void> {
    const next: IteratorResult<Buffer, unknown> = await deadline(
      timeoutMs,
      this.#parts.next(),
      'more data',
    );
    if (next.done === true) throw new Error('the connection ended too early');
    this.#read = Buffer.concat([this.#read, next.value]);
  }
}

async function textOf(chunks: AsyncIterable<Buffer>): Promise<string> {
  const all: Buffer[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all).toString();
}

/** Both streams go to the standard output. */
async function* withoutFrames(chunks: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let rest = Buffer.alloc(0);
  for await (const chunk of chunks) {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 8 && rest.length >= 8 + rest.readUInt32BE(4)) {
      const end = 8 + rest.readUInt32BE(4);
      yield rest.subarray(8, end).toString();
      rest = rest.subarray(end);
    }
  }
  if (rest.length > 0) throw new Error('the last frame is not whole');
}

function lineOf(module: object): ListedLine {
  const { name, config, status } = module as {
    readonly name: string;
    readonly config: { readonly settings: { readonly image: string } };
    readonly status: {
      readonly startTime?: string;
      readonly exitStatus?: { readonly exitTime: string; readonly statusCode: string };
      readonly runtimeStatus: { readonly status: string };
    };
  }; // what is missing fails below
  const state = status.runtimeStatus.status;
  return {
    name,
    status: state,
    description: describe(state, status),
    config: config.settings.image,
  };
}

function describe(
  state: string,
  {
    startTime,
    exitStatus,
  }: { startTime?: string; exitStatus?: { exitTime: string; statusCode: string } },
): string {
  if (state === 'running') return `Up ${agoOf(startTime)}`;
  if (exitStatus === undefined) return '';
  const code = state === 'failed' ? ` (${exitStatus.statusCode})` : '';
  return `${state === 'failed' ? 'Failed' : 'Stopped'}${code} ${agoOf(exitStatus.exitTime)} ago`;
}

function agoOf(time = ''): string {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(time)) throw new Error(`time "${time}"`);
  return `${Math.max(0, Math.round((Date.now() - Date.parse(time)) / 1000))} seconds`;
}
