import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** What happens to a connection: a TLS alert after the ClientHello, a close, or all goes to another port. */
export type ConnectionFate =
  | { readonly alert: number }
  | { readonly closes: true }
  | { readonly port: number };

/** A port on loopback that treats each connection as the next item of a list says, and the others as the last one. */
export class ScriptedPort implements AsyncDisposable {
  connections = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(fates: readonly ConnectionFate[]) {
    this.#server = createServer((socket) => {
      this.#hold(socket);
      const fate = fates[Math.min(this.connections++, fates.length - 1)];
      if (fate !== undefined) this.#treat(socket, fate);
    });
  }

  static async start(...fates: readonly ConnectionFate[]): Promise<ScriptedPort> {
    const port = new ScriptedPort(fates);
    port.#server.listen(0, '127.0.0.1');
    await once(port.#server, 'listening');
    return port;
  }

  get url(): string {
    const address = this.#server.address();
    return `https://localhost:${typeof address === 'object' && address !== null ? address.port : 0}`;
  }

  #hold(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => this.#sockets.delete(socket));
  }

  #treat(socket: Socket, fate: ConnectionFate): void {
    if ('port' in fate) {
      const target = connect({ host: '127.0.0.1', port: fate.port });
      this.#hold(target);
      socket.pipe(target).pipe(socket);
      return;
    }
    socket.once('data', () => {
      if ('alert' in fate) socket.end(Buffer.from([0x15, 3, 3, 0, 2, 2, fate.alert]));
      else socket.destroy();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}
