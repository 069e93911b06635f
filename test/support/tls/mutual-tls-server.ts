import { once } from 'node:events';
import type { IncomingMessage, RequestListener } from 'node:http';
import { createServer, type Server, type ServerOptions } from 'node:https';
import type { TLSSocket } from 'node:tls';
import type { Pki } from './pki.ts';

/** A request, recorded by the server. */
export interface SeenRequest {
  readonly protocol: string | null;
  readonly resumed: boolean;
  /** The common name of the client's certificate. */
  readonly client: unknown;
  readonly url: string | undefined;
  readonly connection: number;
}

/** An HTTPS server on loopback that accepts only clients with a certificate. */
export class MutualTlsServer implements AsyncDisposable {
  readonly requests: SeenRequest[] = [];
  readonly #server: Server;
  readonly #connections: TLSSocket[] = [];

  private constructor(server: Server) {
    this.#server = server;
    server.on('secureConnection', (socket) => void this.#connections.push(socket));
  }

  /** Listens; `listener` handles requests, by default with the response `hello`. */
  static async start(
    pki: Pki,
    options: ServerOptions = {},
    listener: RequestListener = (_, response) => void response.end('hello'),
  ): Promise<MutualTlsServer> {
    const { key, certificate } = await pki.issue('server', ['localhost']);
    const server = createServer({
      key,
      cert: certificate,
      ca: pki.root.certificate,
      requestCert: true,
      rejectUnauthorized: true,
      ...options,
    });
    const mutual = new MutualTlsServer(server);
    server.on('request', (request, response) => {
      mutual.requests.push(mutual.#describe(request));
      listener(request, response);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return mutual;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  url(path = '/'): string {
    return `https://localhost:${this.port}${path}`;
  }

  #describe({ socket, url }: IncomingMessage): SeenRequest {
    const tls = socket as TLSSocket; // the socket of an https server
    return {
      protocol: tls.getProtocol(),
      resumed: tls.isSessionReused(),
      client: tls.getPeerCertificate().subject?.CN,
      url,
      connection: this.#connections.indexOf(tls),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}
