import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { ServiceError, unreachable } from '../errors.ts';
import { refuseSignatures } from '../native/provider.ts';
import { HttpsFailure, type HttpsFailureKind } from './https-failure.ts';
import type { HttpsRequest, HttpsResponse } from './https-request.ts';
import { type FromWorker, type ToWorker, tlsWorkerRole } from './worker-messages.ts';

/** Options of the TLS thread. */
export interface HttpsClientOptions {
  /** The file that the thread runs, the executable itself when absent; it calls `runAsTlsWorker` first of all. */
  readonly workerFile?: string | URL;
}

interface PendingRequest {
  readonly host: string;
  /** The addresses that were tried, `` on a reused connection. */
  tried: string;
  readonly resolve: (response: HttpsResponse) => void;
  readonly reject: (error: ServiceError) => void;
}

/**
 * For the top of a `main.ts`: when this thread was started by an `HttpsClient`, serves it and returns true, and the
 * program must do nothing else.
 */
export function runAsTlsWorker(): boolean {
  if (isMainThread || workerData !== tlsWorkerRole) return false;
  // loaded lazily: a thread without TLS needs none of it
  void import('./tls-worker.ts').then(({ serveTls }) => serveTls());
  return true;
}

/**
 * Speaks HTTPS from a separate thread, because a client certificate's key is in the Keys service and signing with it
 * blocks. The thread starts with the first request, lives on with its connections and TLS sessions, and is replaced
 * when it ends.
 */
export class HttpsClient implements AsyncDisposable {
  readonly #workerFile: string | URL;
  readonly #pending = new Map<number, PendingRequest>();
  #worker: Worker | undefined;
  #nextId = 1;
  #closed = false;

  private constructor(workerFile: string | URL) {
    this.#workerFile = workerFile;
  }

  /** A client that has not connected to anything yet. */
  static start({ workerFile = process.argv[1] }: HttpsClientOptions = {}): HttpsClient {
    if (workerFile === undefined) throw new TypeError('no file for the TLS thread');
    return new HttpsClient(workerFile);
  }

  /**
   * One exchange. Unavailable, with an `HttpsFailure` as the cause, when there is no acceptable response in time
   * or before the signal's own deadline; Cancelled when the signal aborts for another reason.
   */
  async request(request: HttpsRequest, signal: AbortSignal): Promise<HttpsResponse> {
    const host = hostOf(request.url);
    if (signal.aborted) throw abandoned(host, signal);
    if (this.#closed) throw new ServiceError('Unavailable', 'the HTTPS client is closed');
    const id = this.#nextId++;
    const triedOf = (): string => this.#pending.get(id)?.tried ?? '';
    const onAbort = (): void => this.#abandon(id, abandoned(host, signal, triedOf()));
    const onLate = (): void => this.#abandon(id, late(host, triedOf()));
    const timer = setTimeout(onLate, request.timeoutMs);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      return await new Promise((resolve, reject) => {
        this.#pending.set(id, { host, tried: '', resolve, reject });
        this.#send({ kind: 'request', id, request });
      });
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      this.#pending.delete(id);
    }
  }

  #send(message: ToWorker): void {
    this.#worker ??= this.#startWorker();
    this.#worker.postMessage(message);
  }

  /** Does not wait for the worker, which may be blocked in a signature. */
  #abandon(id: number, error: ServiceError): void {
    this.#worker?.postMessage({ kind: 'abort', id } satisfies ToWorker);
    this.#pending.get(id)?.reject(error);
  }

  #startWorker(): Worker {
    const worker = new Worker(this.#workerFile, { workerData: tlsWorkerRole });
    worker.on('message', (message: FromWorker) => this.#receive(message));
    worker.on('error', (error) => this.#lose(worker, error));
    worker.on('exit', () => this.#lose(worker, undefined));
    worker.unref(); // the timer of each exchange keeps the process alive
    return worker;
  }

  #receive(message: FromWorker): void {
    const exchange = this.#pending.get(message.id);
    if (exchange === undefined) return;
    if (message.kind === 'tried') {
      exchange.tried = message.tried;
      return;
    }
    if (message.kind === 'response') {
      const { status, headers, body } = message;
      exchange.resolve({
        status,
        headers,
        body: Buffer.from(body.buffer, body.byteOffset, body.length),
      });
      return;
    }
    exchange.reject(unavailable(exchange, message.failure, message));
  }

  #lose(worker: Worker, error: unknown): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    for (const { host, reject } of this.#pending.values()) {
      reject(new ServiceError('Unavailable', `${host}: the TLS thread ended`, { cause: error }));
    }
  }

  /** Ends the thread and its exchanges; pending requests are Unavailable. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    if (this.#worker === undefined) return;
    // otherwise a thread that is blocked in a signature would be waited for
    using _refusal = refuseSignatures();
    await this.#worker.terminate();
  }
}

function hostOf(url: string): string {
  try {
    const { protocol, host } = new URL(url);
    if (protocol === 'https:') return host;
  } catch (error) {
    throw new ServiceError('InvalidArgs', 'not a URL', { cause: error });
  }
  throw new ServiceError('InvalidArgs', 'only https: URLs can be requested');
}

/** A timeout is Unavailable, which callers retry, and not Cancelled. */
function abandoned(host: string, { reason }: AbortSignal, tried = ''): ServiceError {
  if (reason instanceof Error && reason.name === 'TimeoutError') return late(host, tried);
  return new ServiceError('Cancelled', `the request to ${host} was cancelled`, { cause: reason });
}

function late(host: string, tried: string): ServiceError {
  const timedOut = { code: 'ETIMEDOUT', message: 'no response in time' };
  return unavailable({ host, tried }, 'connection', timedOut);
}

function unavailable(
  { host, tried }: Pick<PendingRequest, 'host' | 'tried'>,
  kind: HttpsFailureKind,
  { code, message }: { readonly code: string; readonly message: string },
): ServiceError {
  const cause = new HttpsFailure(kind, code, message);
  const where = kind === 'connection' || kind === 'proxy' ? tried : '';
  const addresses = where === '' ? '' : ` (${where})`;
  return new ServiceError('Unavailable', `${host}: ${explain(cause)}${addresses}`, { cause });
}

function explain({ kind, code, message }: HttpsFailure): string {
  switch (kind) {
    case 'server-certificate':
      return `the certificate of the server does not verify: ${code}`;
    case 'client-certificate':
      return `the client certificate or its key cannot be used: ${message}`;
    case 'proxy':
      return `the proxy failed: ${code}`;
    case 'response':
    case 'connection':
      return code === 'UNKNOWN' ? message : code;
    default:
      return unreachable(kind);
  }
}
