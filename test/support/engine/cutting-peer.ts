import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** How much of each response of the engine is forwarded. */
export type Stage =
  | 'nothing'
  | 'half the header'
  | 'the header'
  | 'some of the body'
  | 'everything';

/** A proxy between a client and an engine that closes connections or stalls in the middle of a response. */
export class CuttingPeer implements AsyncDisposable {
  readonly socketPath: string;
  stage: Stage = 'everything';
  /** Whether a connection is closed at the stage; otherwise it stalls. */
  cuts = true;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(socketPath: string, enginePath: string) {
    this.socketPath = socketPath;
    this.#server = createServer((client) => this.#join(client, connect(enginePath)));
  }

  static async start(socketPath: string, enginePath: string): Promise<CuttingPeer> {
    const peer = new CuttingPeer(socketPath, enginePath);
    await once(peer.#server.listen(socketPath), 'listening');
    return peer;
  }

  /** Closes every connection. */
  cutAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.cutAll();
    await closed;
    await rm(this.socketPath, { force: true });
  }

  #join(client: Socket, engine: Socket): void {
    for (const socket of [client, engine]) {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => this.#sockets.delete(socket));
    }
    client.on('close', () => engine.destroy());
    engine.on('close', () => {
      if (this.cuts || this.stage === 'everything') client.end();
    });
    client.pipe(engine);
    let response = Buffer.alloc(0);
    let passed = 0;
    engine.on('data', (chunk: Buffer) => {
      response = Buffer.concat([response, chunk]);
      const limit = limitOf(this.stage, response);
      if (limit === undefined) return;
      client.write(response.subarray(passed, limit));
      passed = Math.min(limit, response.length);
      if (this.cuts && limit !== Number.POSITIVE_INFINITY) client.end(() => client.destroy());
    });
  }
}

/** How many bytes of a response are forwarded, undefined until enough of it has arrived. */
function limitOf(stage: Stage, response: Buffer): number | undefined {
  const header = response.indexOf('\r\n\r\n') + 4;
  if (stage === 'everything') return Number.POSITIVE_INFINITY;
  if (stage === 'nothing') return 0;
  if (header < 4) return undefined;
  if (stage === 'half the header') return header >> 1;
  if (stage === 'the header') return header;
  return response.length > header + 8 ? header + 8 : undefined;
}
