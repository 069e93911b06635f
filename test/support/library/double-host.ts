import { randomBytes } from 'node:crypto';
import { connect, createServer, type Socket } from 'node:net';
import type { Host } from '../../../src/keys/pkcs11/library/host-program.ts';
import { FrameSplitter } from '../../../src/keys/pkcs11/protocol/frames.ts';
import { decodeRequest } from '../../../src/keys/pkcs11/protocol/messages.ts';

/** A received request. */
export interface Received {
  readonly id: number;
  readonly operation: number;
}

/** The process of a library as the service sees it, which sends what a test says. */
export class DoubleHost implements Host, AsyncDisposable {
  readonly socket: Socket;
  readonly ended: Promise<string>;
  readonly received: Received[] = [];
  isKilled = false;
  readonly #peer: Promise<Socket>;
  #end: (how: string) => void = () => undefined;

  constructor() {
    const path = `\0iotedge-double-${randomBytes(8).toString('hex')}`;
    const server = createServer().listen(path);
    this.socket = connect(path);
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    this.#peer = new Promise((resolve) => {
      server.once('connection', (peer) => {
        server.close();
        this.#receive(peer);
        resolve(peer);
      });
    });
  }

  /** Ends as a process does. */
  end(how: string): void {
    this.#end(how);
  }

  kill(): void {
    this.isKilled = true;
    this.#end('was ended by SIGKILL');
  }

  /** Sends bytes, framed or not. */
  async send(bytes: Uint8Array): Promise<void> {
    (await this.#peer).write(bytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy();
    (await this.#peer).destroy();
  }

  #receive(peer: Socket): void {
    const splitter = new FrameSplitter((frame) => {
      const { id, operation } = decodeRequest(frame);
      this.received.push({ id, operation });
    });
    peer.on('data', (chunk) => splitter.push(chunk));
    peer.on('error', () => undefined);
    peer.on('end', () => this.#end('exited with code 0'));
  }
}
