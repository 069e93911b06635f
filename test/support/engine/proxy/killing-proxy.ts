import { chmod, chown } from 'node:fs/promises';
import { until } from '../../deadline.ts';
import { engineGroup } from '../../rig/rig-users.ts';
import { isRunning } from '../../system/running.ts';
import { EngineProxy, type EngineRequest, type Passage } from './engine-proxy.ts';

/** Requests that change nothing, whatever their method. */
const readOnly = /^\/(auth|_ping|events)/;

const longMs = 20_000;

/** A proxy in front of an engine that ends its client right before or after the n-th request that changes something. */
export class KillingProxy implements AsyncDisposable {
  #proxy: EngineProxy | undefined;
  #pid = 0;
  #left = Number.POSITIVE_INFINITY;
  #when: 'before' | 'after' = 'before';
  #killed = '';
  #isKilling = false;
  /** The requests that never reach the engine, and are never answered. */
  held: RegExp | undefined;

  /** Listens on one socket, for members of `engineGroup`, and forwards to the engine's. */
  static async start(socketPath: string, engineSocket: string): Promise<KillingProxy> {
    const killing = new KillingProxy();
    const admit = (request: EngineRequest) => killing.#admit(request);
    killing.#proxy = await EngineProxy.start(socketPath, engineSocket, admit);
    await chown(socketPath, 0, engineGroup);
    await chmod(socketPath, 0o660);
    return killing;
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

  #admit({ method, path }: EngineRequest): Passage {
    if (this.held?.test(`${method} ${path}`) === true) return { isSent: false };
    const changes = method !== 'GET' && method !== 'HEAD' && !readOnly.test(path);
    const isLast = changes && --this.#left <= 0;
    if (!isLast) return { isSent: true };
    const kill = (): boolean => {
      if (!this.#isKilling) void this.#end(`${method} ${path}`);
      return false;
    };
    // this one, and what follows before the client has ended, never reaches the engine
    if (this.#when === 'before' || this.#isKilling) return { isSent: kill() };
    // the engine has done it, and the client never learns that
    return { isSent: true, isReturned: kill };
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
    await this.#proxy?.[Symbol.asyncDispose]();
  }
}

function isKilled(pid: number): boolean {
  try {
    return process.kill(pid, 'SIGKILL');
  } catch {
    return false;
  }
}
