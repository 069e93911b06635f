import { describeError, isServiceError, ServiceError } from '../../../errors.ts';
import { Backoff } from '../../../service/backoff.ts';
import { type Operation, operations, protocolVersion } from '../protocol/operations.ts';
import { ckrName, LostError } from './ckr.ts';
import { type CallOptions, HostProcess } from './host-process.ts';
import { type Host, startHost } from './host-program.ts';

const backoffOptions = { minMs: 250, firstMs: 1_000, maxMs: 15_000, healthyMs: 60_000 };

/** Called when the process of a library ends by itself or hangs. Must not throw. */
export type EndListener = (failure: ServiceError) => void;

/**
 * A PKCS#11 library in a process of its own, which is started on first use and again, with back-off, after it ended.
 * Restarting the library within its process, which some need to detect a token that was reinserted, waits for all
 * running calls.
 */
export class Pkcs11Library implements AsyncDisposable {
  readonly path: string;
  readonly #startHost: () => Host;
  readonly #backoff = new Backoff(backoffOptions);
  readonly #listeners = new Set<EndListener>();
  #host: HostProcess | undefined;
  /** The process while it loads the library. */
  #loading: HostProcess | undefined;
  #startedAt = 0;
  #starting: Promise<void> | undefined;
  #failure: ServiceError | undefined;
  #generation = 1;
  #isClosed = false;
  #restart: Promise<void> | undefined;
  #restartedAt = -Infinity;

  /** `start` starts the process. */
  constructor(path: string, start: () => Host = startHost) {
    this.path = path;
    this.#startHost = start;
  }

  /** Incremented when handles and sessions become invalid: by a restart, and by the end of the process. */
  get generation(): number {
    return this.#generation;
  }

  /** Whether calls may start now; otherwise `ready` waits for that. */
  get open(): boolean {
    return this.#host !== undefined && this.#restart === undefined;
  }

  /** Reports every unexpected end of the process from now on, until the result is called. */
  onEnd(listener: EndListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Resolves when calls may start. Unavailable when the library cannot be loaded, or ended a moment ago. */
  async ready(): Promise<void> {
    while (this.#restart !== undefined) await this.#restart.catch(() => undefined);
    if (this.#host !== undefined) return;
    this.#starting ??= this.#start().finally(() => {
      this.#starting = undefined;
    });
    await this.#starting;
  }

  /** Calls the library, which must be open. */
  call<Request, Reply>(
    operation: Operation<Request, Reply>,
    request: Request,
    options?: CallOptions,
  ): Promise<Reply> {
    if (this.#host === undefined) {
      options?.done?.();
      return Promise.reject(new LostError('session'));
    }
    return this.#host.call(operation, request, options);
  }

  /**
   * Finalizes and initializes the library once no call runs. Concurrent callers share one restart. Does nothing
   * within `pauseMs` of the last restart, because each one interrupts the other tokens of the library.
   */
  async restart(pauseMs: number): Promise<void> {
    // it has ended: its start detects tokens, too, or throws the reason
    if (this.#restart === undefined && this.#host === undefined) return this.ready();
    if (this.#restart === undefined) {
      if (performance.now() - this.#restartedAt < pauseMs) return;
      this.#restart = this.#restartNow().finally(() => {
        this.#restart = undefined;
        this.#restartedAt = performance.now();
      });
    }
    await this.#restart;
  }

  /** Fails all calls that have not returned, and ends the process in which they are running. */
  abandon(): void {
    this.#loading?.abandon();
    this.#host?.abandon();
  }

  /** Ends the process, without waiting for calls: one of them may hang. */
  async [Symbol.asyncDispose](): Promise<void> {
    const hosts = [this.#host, this.#loading];
    this.#isClosed = true;
    this.#host = undefined;
    this.#generation++;
    await Promise.all(hosts.map(async (host) => host?.[Symbol.asyncDispose]()));
  }

  async #start(): Promise<void> {
    const retryAt = this.#backoff.retryAt(new Date());
    if (retryAt !== undefined && this.#failure !== undefined) throw this.#failure;
    this.#startedAt = performance.now();
    try {
      if (this.#isClosed) throw new Error('it is closed');
      await this.#load();
      this.#failure = undefined;
    } catch (error) {
      throw this.#failed(this.#unusable('loaded', error));
    }
  }

  async #load(): Promise<void> {
    const end = (failure: ServiceError): void => this.#ended(host, failure);
    const host = new HostProcess(this.path, this.#startHost(), end);
    this.#loading = host;
    try {
      await host.call(operations.load, { version: protocolVersion, path: this.path });
      // it may have ended since it replied
      if (host.failure !== undefined) throw host.failure;
      this.#host = host;
    } catch (error) {
      await host[Symbol.asyncDispose]();
      throw error;
    } finally {
      this.#loading = undefined;
    }
  }

  async #restartNow(): Promise<void> {
    this.#generation++;
    try {
      await this.call(operations.restart, undefined);
    } catch (error) {
      throw this.#unusable('started', error);
    }
  }

  #ended(host: HostProcess, failure: ServiceError): void {
    // while it is being started, its caller reports the failure
    if (host !== this.#host) return;
    this.#host = undefined;
    this.#generation++;
    this.#failed(failure);
    for (const listener of this.#listeners) listener(failure);
  }

  #failed(failure: ServiceError): ServiceError {
    this.#backoff.failed(new Date(), { lastedMs: performance.now() - this.#startedAt });
    this.#failure = failure;
    return failure;
  }

  #unusable(what: string, error: unknown): ServiceError {
    // it says already which library, and why
    if (isServiceError(error)) return error;
    const ckr = ckrName(error);
    // many libraries have no better code for a token directory or a device that they may not open
    const advice = `may uid ${process.geteuid?.()} use its files and devices?`;
    const reason = ckr === undefined ? describeError(error) : `${ckr}: ${advice}`;
    const message = `PKCS#11 library ${this.path} cannot be ${what}: ${reason}`;
    return new ServiceError('Unavailable', message, { cause: error });
  }
}
