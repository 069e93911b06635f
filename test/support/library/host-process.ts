import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { FrameSplitter } from '../../../src/keys/pkcs11/protocol/frames.ts';
import {
  decodeAll,
  decodeReply,
  encodeRequest,
  type Failure,
  type ReceivedReply,
} from '../../../src/keys/pkcs11/protocol/messages.ts';
import {
  type Operation,
  operations,
  protocolVersion,
} from '../../../src/keys/pkcs11/protocol/operations.ts';
import { deadline } from '../deadline.ts';

/** A request that the process refused. */
export class RequestFailure extends Error {
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(JSON.stringify(failure));
    this.failure = failure;
  }
}

/** Takes the reply to a request, which is wiped afterwards; undefined when there will be none. */
type Settle = (reply: Exclude<ReceivedReply, { readonly kind: 'alive' }> | undefined) => void;

const entry = fileURLToPath(new URL('../../../src/keys/pkcs11/host/main.js', import.meta.url));

/** The process that owns a PKCS#11 library, and the other end of its connection. */
export class HostProcess implements AsyncDisposable {
  readonly process: ChildProcess;
  readonly socket: Socket;
  /** Writes of the process, and the frames in them that reply to nothing. */
  reads = 0;
  alive = 0;
  stderr = '';
  readonly #waiting = new Map<number, Settle>();
  readonly #exit: Promise<unknown[]>;
  #last = 0;

  /** Starts the process, by default from its compiled sources. */
  constructor(command: readonly string[] = [process.execPath, entry], environment = process.env) {
    const [program = '', ...args] = command;
    this.process = spawn(program, args, {
      env: environment,
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    });
    this.#exit = once(this.process, 'exit');
    this.process.stderr?.on('data', (text) => void (this.stderr += String(text)));
    const socket = this.process.stdio[3];
    if (!(socket instanceof Socket)) throw new TypeError('a pipe of spawn is a socket');
    this.socket = socket;
    const splitter = new FrameSplitter((frame) => this.#receive(decodeReply(frame)));
    socket.on('data', (chunk: Buffer) => {
      this.reads++;
      splitter.push(chunk);
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      for (const settle of this.#waiting.values()) settle(undefined);
    });
  }

  /** Starts the process and loads a library. */
  static async load(path: string, command?: readonly string[]): Promise<HostProcess> {
    const host = new HostProcess(command);
    await host.call(operations.load, { version: protocolVersion, path });
    return host;
  }

  get pid(): number {
    return this.process.pid ?? -1;
  }

  /** Makes a request; rejects with a RequestFailure, or when the process has ended. */
  async call<Request, Reply>(
    operation: Operation<Request, Reply>,
    request: Request,
  ): Promise<Reply> {
    const id = ++this.#last;
    const received = new Promise<Reply>((resolve, reject) => {
      this.#waiting.set(id, (reply) => {
        if (reply === undefined) reject(new Error('the process has ended'));
        else if (reply.kind === 'failed') reject(new RequestFailure(reply.failure));
        else resolve(decodeAll(operation.reply, reply.reader));
      });
    });
    this.socket.write(encodeRequest(id, operation, request));
    return deadline(30_000, received, `the reply to ${operation.call}`);
  }

  /** The failure of a request, which must fail. */
  async failure<Request, Reply>(
    operation: Operation<Request, Reply>,
    request: Request,
  ): Promise<Failure> {
    try {
      await this.call(operation, request);
    } catch (error) {
      if (error instanceof RequestFailure) return error.failure;
      throw error;
    }
    throw new Error(`${operation.call} succeeded`);
  }

  /** Waits for the end of the process: its exit code, or its signal. */
  async exit(): Promise<unknown> {
    const [code, signal] = await deadline(10_000, this.#exit, 'the process to end');
    return code ?? signal;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy();
    this.process.kill('SIGKILL');
    await this.#exit;
  }

  #receive(reply: ReceivedReply): void {
    if (reply.kind === 'alive') {
      this.alive++;
      return;
    }
    const settle = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    settle?.(reply);
  }
}
