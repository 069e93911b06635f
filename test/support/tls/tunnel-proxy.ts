import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';

/** An HTTP proxy on loopback that opens tunnels for clients with the password. */
export class TunnelProxy implements AsyncDisposable {
  /** The targets of the opened tunnels. */
  readonly targets: string[] = [];
  readonly port: number;
  readonly #server: Server;
  readonly #streams = new Set<Duplex>();

  private constructor(server: Server) {
    this.#server = server;
    const address = server.address();
    this.port = typeof address === 'object' && address !== null ? address.port : 0;
  }

  /** The credentials of all requests, also of refused ones. */
  readonly credentials: (string | undefined)[] = [];

  /** Listens, with TLS when a certificate is given; `credentials` are `user:password`. */
  static async start(credentials: string, tls?: ServerOptions): Promise<TunnelProxy> {
    const server = tls === undefined ? createServer() : createTlsServer(tls);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const proxy = new TunnelProxy(server);
    const wanted = `Basic ${Buffer.from(credentials).toString('base64')}`;
    server.on('tlsClientError', (_, client: Duplex) => void client.destroy()); // a client that does not trust the certificate
    server.on('connect', ({ url = '', headers }, client: Duplex) => {
      proxy.#streams.add(client.on('error', () => client.destroy())); // also refused clients
      proxy.credentials.push(headers['proxy-authorization']);
      if (headers['proxy-authorization'] === wanted) proxy.#open(url, client);
      else client.end('HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n');
    });
    return proxy;
  }

  #open(target: string, client: Duplex): void {
    this.targets.push(target);
    const [host, port] = target.split(':');
    const upstream = connect(Number(port), host);
    for (const stream of [client, upstream]) {
      this.#streams.add(stream);
      stream.on('error', () => stream.destroy()); // one end may close before the other
    }
    upstream.once('connect', () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      client.pipe(upstream).pipe(client);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    for (const stream of this.#streams) stream.destroy();
    await closed;
  }
}
