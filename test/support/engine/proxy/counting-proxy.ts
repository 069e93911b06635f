import { once } from 'node:events';
import { createServer, request } from 'node:http';

/** A proxy in front of an engine that counts requests. */
export class CountingProxy implements AsyncDisposable {
  readonly #counts = new Map<string, number>();
  /** Of all requests, as they came. */
  readonly urls: string[] = [];
  readonly #server;

  private constructor(engineSocket: string) {
    this.#server = createServer((incoming, response) => {
      const { method, url, headers } = incoming;
      this.urls.push(String(url));
      const path = String(url).replace(/^\/v[0-9.]+|\?.*$/g, '');
      this.#counts.set(path, this.count(path) + 1);
      const passed = request({ socketPath: engineSocket, method, path: url, headers }, (reply) => {
        response.writeHead(reply.statusCode ?? 500, reply.headers);
        response.flushHeaders();
        reply.pipe(response);
      });
      passed.on('error', () => response.destroy());
      response.on('close', () => passed.destroy());
      incoming.pipe(passed);
    });
  }

  /** Listens on one socket and forwards to the engine's. */
  static async start(socketPath: string, engineSocket: string): Promise<CountingProxy> {
    const proxy = new CountingProxy(engineSocket);
    proxy.#server.listen(socketPath);
    await once(proxy.#server, 'listening');
    return proxy;
  }

  /** The number of requests for a path, such as `/info` in every version of the API. */
  count(path: string): number {
    return this.#counts.get(path) ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}
