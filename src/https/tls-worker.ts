import type { ClientRequest, IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { type MessagePort, parentPort } from 'node:worker_threads';
import { loadProvider } from '../native/provider.ts';
import { AgentPool } from './agent-pool.ts';
import type { ConnectingRequest } from './happy-eyeballs-agent.ts';
import { codeOf, HttpsFailure, toFailureMessage } from './https-failure.ts';
import type { HttpsRequest } from './https-request.ts';
import { topmostOf } from './peer-chain.ts';
import type { TcpOptions } from './tcp-connect.ts';
import type { FromWorker, ToWorker } from './worker-messages.ts';

type Connecting = Required<Omit<TcpOptions, 'lookup'>> & {
  readonly signal: AbortSignal;
  /** The body that is bound to a connection. */
  readonly bodyFor: (tlsUnique: Uint8Array) => Promise<Uint8Array>;
};
type ReceivedResponse = Omit<Extract<FromWorker, { kind: 'response' }>, 'kind' | 'id'>;

const defaultMaxBodyBytes = 1 << 20;
/** Methods that may be repeated when a reused connection turns out to be closed (RFC 9110 9.2.2). */
const idempotent: ReadonlySet<string> = new Set(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS']);

if (parentPort === null) throw new TypeError('not a worker thread');
serve(parentPort);

/** Serves the HttpsClient that started this thread, until that ends the thread. */
function serve(port: MessagePort): void {
  const agents = new AgentPool(loadProvider);
  const aborts = new Map<number, AbortController>();
  const bodies = new Map<number, (body: Uint8Array) => void>();
  const reply = (message: FromWorker): void => port.postMessage(message);
  port.on('message', (message: ToWorker) => {
    if (message.kind === 'abort') {
      aborts.get(message.id)?.abort();
      return;
    }
    if (message.kind === 'body') {
      bodies.get(message.id)?.(message.body);
      return;
    }
    const { id, request } = message;
    const abort = new AbortController();
    aborts.set(id, abort);
    const connecting = {
      timeoutMs: request.timeoutMs,
      signal: abort.signal,
      onTried: (tried: string) => reply({ kind: 'tried', id, tried }),
      bodyFor: (value: Uint8Array) =>
        new Promise<Uint8Array>((resolve) => {
          bodies.set(id, resolve);
          reply({ kind: 'tls-unique', id, value });
        }),
    };
    exchange(request, agents, connecting)
      .then(
        (response) => reply({ kind: 'response', id, ...response }),
        (error: unknown) => reply({ kind: 'failure', id, ...toFailureMessage(error) }),
      )
      .finally(() => {
        aborts.delete(id);
        bodies.delete(id);
      });
  });
}

/** Idle connections may be closed by now: retries idempotent requests, at last over a new one. */
async function exchange(
  request: HttpsRequest,
  agents: AgentPool,
  connecting: Connecting,
): Promise<ReceivedResponse> {
  for (;;) {
    try {
      return await attempt(request, agents, connecting);
    } catch (error) {
      if (!(error instanceof StaleConnection)) throw error;
      if (!idempotent.has(request.method)) throw error.cause;
    }
  }
}

/** The server closed a reused connection while the request was in transit. */
class StaleConnection extends Error {}

function attempt(
  request: HttpsRequest,
  agents: AgentPool,
  connecting: Connecting,
): Promise<ReceivedResponse> {
  return new Promise((resolve, reject) => {
    const { method, headers = {}, body } = request;
    const { hasBoundBody = false, isNewConnection = false } = request;
    const agent = hasBoundBody || isNewConnection ? agents.single(request) : agents.get(request);
    const { signal } = connecting;
    const contextOf = () => agents.contextOf(request);
    const options: ConnectingRequest = { method, headers, agent, signal, connecting, contextOf };
    const outgoing = httpsRequest(request.url, options);
    let hasResponse = false;
    outgoing.once('response', (incoming) => {
      hasResponse = true;
      const isCertificateWanted = asksForCertificate(incoming.socket as TLSSocket); // of an https request
      readBody(incoming, request.maxBodyBytes ?? defaultMaxBodyBytes).then(
        (bytes) => resolve({ ...toResponse(incoming, bytes), isCertificateWanted }),
        (error: unknown) => reject(incomplete(error)),
      );
    });
    outgoing.on('error', (error) => reject(explain(outgoing, error)));
    // Node ends an exchange without an error when the server switches to another protocol (101)
    outgoing.once('close', () => {
      if (!hasResponse) reject(new HttpsFailure('response', 'ECONNRESET', 'there was no response'));
    });
    if (!hasBoundBody) {
      outgoing.end(body);
      return;
    }
    outgoing.once('socket', (socket) => {
      // Node emits this only for a server whose certificate verifies
      socket.once('secureConnect', () => {
        const value = tlsUniqueOf(socket as TLSSocket); // the socket of an https request
        connecting.bodyFor(value).then((own) => outgoing.end(own), reject);
      });
    });
  });
}

/** Distinguishes a truncated response from a connection that was closed before one. */
function incomplete(error: unknown): unknown {
  const code = error instanceof Error ? codeOf(error) : '';
  if (code !== 'ECONNRESET') return error;
  return new HttpsFailure('response', code, 'the response ended before its end');
}

/** The first Finished message of the handshake, that of the server when a session is resumed (RFC 5929 3.1). */
function tlsUniqueOf(socket: TLSSocket): Buffer {
  const finished = socket.isSessionReused() ? socket.getPeerFinished() : socket.getFinished();
  // the context of the connection allows no later version
  if (finished === undefined) throw new TypeError('the connection has no tls-unique');
  return finished;
}

/** A client learns the algorithms that both sides have from the CertificateRequest alone (RFC 8446 4.3.2). */
function asksForCertificate(socket: TLSSocket): boolean {
  return socket.getSharedSigalgs().length > 0;
}

function explain(outgoing: ClientRequest, error: NodeJS.ErrnoException): Error {
  const { reusedSocket, socket } = outgoing;
  if (reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE')) {
    return new StaleConnection(error.message, { cause: error });
  }
  // Node stores on the connection why a certificate was rejected; its code is the reason
  const refused = socket !== null && 'authorizationError' in socket && socket.authorizationError;
  if (!refused) return error;
  const facts = { topmost: topmostOf(socket) };
  return new HttpsFailure('server-certificate', codeOf(error), error.message, facts);
}

async function readBody(incoming: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes) {
      throw new HttpsFailure(
        'response',
        'EMSGSIZE',
        `the response has more than ${maxBytes} bytes`,
      );
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function toResponse(
  { statusCode, headers }: IncomingMessage,
  body: Buffer,
): Omit<ReceivedResponse, 'isCertificateWanted'> {
  const entries = Object.entries(headers).flatMap(([name, value]): [string, string][] =>
    value === undefined ? [] : [[name, typeof value === 'string' ? value : value.join(', ')]],
  );
  return { status: statusCode ?? 0, headers: Object.fromEntries(entries), body };
}
