import { once } from 'node:events';
import { chmod, chown } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import { until } from '../deadline.ts';
import { engineGroup } from '../rig/rig-users.ts';
import { isRunning } from '../system/running.ts';

/** Requests that change nothing, whatever their method. */
const readOnly = /^\/(auth|_ping|events)/;

const longMs = 20_000;

/** A proxy in front of an engine that ends its client right before or after the n-th request that changes something. */
export class KillingProxy implements AsyncDisposable {
  readonly #server;
  #pid = 0;
  #left = Number.POSITIVE_INFINITY;
  #when: 'before' | 'after' = 'before';
  #killed = '';
  #isKilling = false;

  private constructor(engineSocket: string) {
    this.#server = createServer((incoming, response) => {
      const { method, url, headers } = incoming;
      const path = String(url).replace(/^\/v[0-9.]+|\?.*$/g, '');
      const changes = method !== 'GET' && method !== 'HEAD' && !readOnly.test(path);
      const isLast = changes && --this.#left <= 0;
      if (isLast && (this.#when === 'before' || this.#isKilling)) {
        // this one, and what follows before the client has ended, never reaches the engine
        if (!this.#isKilling) void this.#end(`${method} ${path}`);
        return;
      }
      const passed = request({ socketPath: engineSocket, method, path: url, headers }, (reply) => {
        if (isLast) {
          // the engine has done it, and the client never learns that
          if (!this.#isKilling) void this.#end(`${method} ${path}`);
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

  /** Listens on one socket, for members of `engineGroup`, and forwards to the engine's. */
  static async start(socketPath: string, engineSocket: string): Promise<KillingProxy> {
    const proxy = new KillingProxy(engineSocket);
    proxy.#server.listen(socketPath);
    await once(proxy.#server, 'listening');
    await chown(socketPath, 0, engineGroup);
    await chmod(socketPath, 0o660);
    return proxy;
  }

  /** Ends the client, a process, at the n-th request from now on. */
  arm(n: number, pid: number, when: 'before' | 'after' = 'before'): void {
    this.#when = when;
    this.#pid = pid;
    this.#left = n;
    this.#killed = '';
  }

  /** Passes on every request from now on. */
  disarm(): void {
    this.#left = Number.POSITIVE_INFINITY;
  }

  /** Whether the client is about to end. */
  get isKilling(): boolean {
    return this.#isKilling;
  }

  /** The request at which the client was ended, `` for none. */
  get killed(): string {
    return this.#killed;
  }

  async #end(at: string): Promise<void> {
    this.#isKilling = true;
    // this process is another user at times, who may not do that
    await until(longMs, 'the kill', () => isKilled(this.#pid));
    await until(longMs, 'the end of the client', async () => !(await isRunning(this.#pid)));
    this.disarm();
    this.#killed = at;
    this.#isKilling = false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}

function isKilled(pid: number): boolean {
  try {
    return process.kill(pid, 'SIGKILL');
  } catch {
    return false;
  }
}
