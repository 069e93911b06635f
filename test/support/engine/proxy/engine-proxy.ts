import { once } from 'node:events';
import { createServer, request, type Server } from 'node:http';

/** A request as a proxy receives it; its path has neither a version of the API nor a query, such as `/info`. */
export interface EngineRequest {
  readonly method: string;
  readonly url: string;
  readonly path: string;
}

/** The fate of a request: kept from the engine, or sent; then its response may be kept from the client. */
export interface Passage {
  readonly isSent: boolean;
  /** Called when the engine responds. */
  readonly isReturned?: () => boolean;
}

/** A proxy in front of an engine, on a socket of its own. */
export class EngineProxy implements AsyncDisposable {
  readonly #server: Server;

  private constructor(engineSocket: string, admit: (request: EngineRequest) => Passage) {
    this.#server = createServer((incoming, response) => {
      const { method = '', url = '', headers } = incoming;
      const path = url.replace(/^\/v[0-9.]+|\?.*$/g, '');
      const { isSent, isReturned = () => true } = admit({ method, url, path });
      if (!isSent) return;
      const passed = request({ socketPath: engineSocket, method, path: url, headers }, (reply) => {
        if (!isReturned()) {
          reply.resume();
          return;
        }
        response.writeHead(reply.statusCode ?? 500, reply.headers);
        response.flushHeaders();
        reply.pipe(response);
      });
      passed.on('error', () => response.destroy());
      response.on('close', () => passed.destroy());
      incoming.pipe(passed);
    });
  }

  /** Listens on one socket and forwards to the engine's what is admitted. */
  static async start(
    socketPath: string,
    engineSocket: string,
    admit: (request: EngineRequest) => Passage,
  ): Promise<EngineProxy> {
    const proxy = new EngineProxy(engineSocket, admit);
    proxy.#server.listen(socketPath);
    await once(proxy.#server, 'listening');
    return proxy;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}
