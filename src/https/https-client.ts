import { describeError, ServiceError, unreachable } from '../errors.ts';
import { type FailureMessage, HttpsFailure, type HttpsFailureKind } from './https-failure.ts';
import type { BodyBuilder, HttpsRequest, HttpsResponse } from './https-request.ts';
import { TlsThread, type TlsThreadOptions } from './tls-thread.ts';
import type { FromWorker } from './worker-messages.ts';

/** Options of the HTTPS client. */
export interface HttpsClientOptions extends Pick<TlsThreadOptions, 'file'> {
  /** The thread ends after this time without a request; a minute when absent. */
  readonly idleMs?: number;
}

interface PendingRequest {
  readonly host: string;
  /** The addresses that were tried, `` on a reused connection. */
  tried: string;
  readonly resolve: (response: HttpsResponse) => void;
  readonly reject: (error: unknown) => void;
  readonly bodyFor: BodyBuilder | undefined;
}

/**
 * Speaks HTTPS from a separate thread, because a client certificate's key is in the Keys service and signing with it
 * blocks. The thread starts with the first request, is replaced when it fails, and ends with its connections and TLS
 * sessions when it is idle: it takes half of the service's memory.
 */
export class HttpsClient implements AsyncDisposable {
  readonly #thread: TlsThread;
  readonly #idleMs: number;
  readonly #pending = new Map<number, PendingRequest>();
  #idle: NodeJS.Timeout | undefined;
  #nextId = 1;
  #closed = false;

  constructor({ idleMs = 60_000, ...program }: HttpsClientOptions = {}) {
    this.#idleMs = idleMs;
    this.#thread = new TlsThread({
      ...program,
      onMessage: (message) => this.#receive(message),
      onLost: (reason) => this.#lose(reason),
    });
  }

  /**
   * One exchange. Unavailable, with an `HttpsFailure` as the cause, when there is no acceptable response in time
   * or before the signal's own deadline; Cancelled when the signal aborts for another reason. Rejects with the error of
   * `bodyFor`, which builds the body once the connection is open.
   */
  async request(
    request: HttpsRequest,
    signal: AbortSignal,
    bodyFor?: BodyBuilder,
  ): Promise<HttpsResponse> {
    const host = hostOf(request.url);
    if (signal.aborted) throw abandoned(host, signal);
    if (this.#closed) throw closed();
    const id = this.#nextId++;
    const triedOf = (): string => this.#pending.get(id)?.tried ?? '';
    const onAbort = (): void => this.#abandon(id, abandoned(host, signal, triedOf()));
    const onLate = (): void => this.#abandon(id, late(host, triedOf()));
    const timer = setTimeout(onLate, request.timeoutMs);
    clearTimeout(this.#idle);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      return await new Promise((resolve, reject) => {
        this.#pending.set(id, { host, tried: '', resolve, reject, bodyFor });
        const hasBoundBody = bodyFor !== undefined;
        this.#thread.send({ kind: 'request', id, request: { ...request, hasBoundBody } });
      });
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      this.#pending.delete(id);
      if (this.#pending.size === 0) this.#awaitIdle();
    }
  }

  #awaitIdle(): void {
    this.#idle = setTimeout(() => this.#thread.end(), this.#idleMs).unref();
  }

  /** Does not wait for the worker, which may be blocked in a signature. */
  #abandon(id: number, error: unknown): void {
    this.#thread.sendIfStarted({ kind: 'abort', id });
    this.#pending.get(id)?.reject(error);
  }

  #receive(message: FromWorker): void {
    const exchange = this.#pending.get(message.id);
    if (exchange === undefined) return;
    if (message.kind === 'tried') {
      exchange.tried = message.tried;
      return;
    }
    if (message.kind === 'tls-unique') {
      void this.#sendBody(message.id, exchange, Buffer.from(message.value));
      return;
    }
    if (message.kind === 'response') {
      const { status, headers, body, isCertificateWanted } = message;
      exchange.resolve({
        status,
        headers,
        body: Buffer.from(body.buffer, body.byteOffset, body.length),
        isCertificateWanted,
      });
      return;
    }
    exchange.reject(unavailable(exchange, message.failure, message));
  }

  async #sendBody(id: number, exchange: PendingRequest, tlsUnique: Buffer): Promise<void> {
    try {
      const body = await exchange.bodyFor?.(tlsUnique);
      if (body !== undefined) this.#thread.sendIfStarted({ kind: 'body', id, body });
    } catch (error) {
      this.#abandon(id, error);
    }
  }

  #lose(reason: unknown): void {
    const why = `the TLS thread failed: ${describeError(reason)}`;
    for (const { host, reject } of this.#pending.values()) {
      reject(new ServiceError('Unavailable', `${host}: ${why}`, { cause: reason }));
    }
  }

  /** Ends the thread and its exchanges; pending requests are Unavailable. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    for (const { reject } of this.#pending.values()) reject(closed());
    await this.#thread[Symbol.asyncDispose]();
  }
}

function closed(): ServiceError {
  return new ServiceError('Unavailable', 'the HTTPS client is closed');
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
  { code, message, facts }: Omit<FailureMessage, 'failure'>,
): ServiceError {
  const cause = new HttpsFailure(kind, code, message, facts);
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
