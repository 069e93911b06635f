/**
 * An EST server (RFC 7030) which keeps to the letter: it refuses what one of the servers in use refuses, and its answers
 * can be replaced by others.
 */
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { SecureVersion, TLSSocket } from 'node:tls';
import { isSameRequest } from '../../../src/certificates/est/request/renewed-names.ts';
import { parseCertificate } from '../../../src/x509/certificate.ts';
import { encode, oid, sequence } from '../../../src/x509/der/asn1.ts';
import { challengePasswordIn } from './challenge-password.ts';
import { containsAll } from './enforced-attributes.ts';
import type { EstCa } from './est-ca.ts';
import { problemOf } from './request-form.ts';

/** An answer; with `raw` in place of everything that HTTP would add. */
export interface EstAnswer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | string;
  readonly isChunked?: boolean;
  /** Takes over the connection. */
  readonly raw?: (socket: TLSSocket) => void;
}

/** A request that was received. */
export interface SeenRequest {
  readonly operation: string;
  readonly csr: Buffer | undefined;
  /** The common name of the certificate that was presented and accepted. */
  readonly client: string | undefined;
  readonly authorization: string | undefined;
  readonly protocol: string | null;
  readonly path: string;
}

/** Settings of the double. */
export interface EstServerOptions {
  readonly ca: EstCa;
  readonly credential: { readonly key: string; readonly certificate: string };
  /** PEM of the roots of client certificates; none are asked for when absent. */
  readonly clientRoots?: string;
  /** Whether the handshake fails without a certificate. */
  readonly isCertificateRequired?: boolean;
  /** `user:password`. */
  readonly basic?: string;
  readonly label?: string;
  /** Whether the request has to carry the tls-unique of its connection; without it none may carry one. */
  readonly wantsTlsUnique?: boolean;
  readonly version?: SecureVersion;
  /** OIDs that csrattrs asks for, and without which a request is refused, as by libest. */
  readonly enforced?: readonly string[];
}

type Answer = (request: SeenRequest) => Promise<EstAnswer> | EstAnswer;

/** The double. */
export class EstServer implements AsyncDisposable {
  readonly requests: SeenRequest[] = [];
  /** Answers in place of its own, by operation. */
  readonly answers = new Map<string, Answer>();
  /** What clients did wrong. */
  readonly problems: string[] = [];
  readonly #options: EstServerOptions;
  readonly #server: Server;
  readonly #used = new WeakSet<object>();

  private constructor(options: EstServerOptions) {
    this.#options = options;
    const { credential, clientRoots, isCertificateRequired = false, version } = options;
    this.#server = createServer({
      key: credential.key,
      cert: credential.certificate,
      requestCert: clientRoots !== undefined,
      rejectUnauthorized: isCertificateRequired,
      ...(clientRoots !== undefined && { ca: clientRoots }),
      ...(version !== undefined && { minVersion: version, maxVersion: version }),
    });
    this.#server.on('request', (request, response) => void this.#serve(request, response));
    this.#server.on('tlsClientError', () => undefined);
  }

  static async start(options: EstServerOptions): Promise<EstServer> {
    const server = new EstServer(options);
    server.#server.listen(0, '127.0.0.1');
    await once(server.#server, 'listening');
    return server;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  get url(): string {
    return `https://localhost:${this.port}`;
  }

  /** The operations that were asked for, in order. */
  get operations(): readonly string[] {
    return this.requests.map(({ operation }) => operation);
  }

  /** The answer of the CA to a request: the certificate in PKCS#7. */
  async issued(csr: Buffer | undefined, ...more: readonly string[]): Promise<EstAnswer> {
    if (csr === undefined) return { status: 400, body: 'no request\n' };
    return this.certificates(await this.#options.ca.issue(csr), ...more);
  }

  /** Certificates as an answer. */
  async certificates(...pem: readonly string[]): Promise<EstAnswer> {
    const p7 = await this.#options.ca.pkcs7(...pem);
    return {
      headers: {
        'content-type': 'application/pkcs7-mime; smime-type=certs-only',
        'content-transfer-encoding': 'base64',
      },
      body: `${p7.toString('base64').replace(/.{76}(?=.)/g, '$&\r\n')}\r\n`,
    };
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const body = await bodyOf(request);
      send(response, await this.#answer(request, body));
    } catch (error) {
      this.problems.push(String(error));
      send(response, { status: 500, body: 'double failed\n' });
    }
  }

  async #answer(request: IncomingMessage, body: Buffer): Promise<EstAnswer> {
    const { label, ca } = this.#options;
    if (this.#used.has(request.socket)) this.problems.push('a connection was used twice');
    this.#used.add(request.socket);
    const prefix = `/.well-known/est/${label === undefined ? '' : `${label}/`}`;
    const path = request.url ?? '';
    const operation = path.slice(prefix.length);
    const problem = path.startsWith(prefix) ? problemOf(request, operation, body) : undefined;
    if (problem !== undefined) this.problems.push(problem.body);
    const seen = this.#see(request, operation, body);
    this.requests.push(seen);
    if (problem !== undefined) return problem;
    if (!path.startsWith(prefix)) return this.answers.get(path)?.(seen) ?? { status: 404 };
    const refusal = this.#authenticate(seen);
    if (refusal !== undefined) return refusal;
    const mismatch = this.#checkPossession(request, seen);
    if (mismatch !== undefined) return mismatch;
    const { enforced = [] } = this.#options;
    if (seen.csr !== undefined && !containsAll(seen.csr, enforced)) {
      return { status: 400, body: 'CSR Attributes missing in request.' };
    }
    const replaced = this.answers.get(operation);
    if (replaced !== undefined) return replaced(seen);
    switch (operation) {
      case 'cacerts':
        return this.certificates(await ca.certificate('issuing'), await ca.certificate('root'));
      case 'csrattrs':
        return this.#attributes();
      case 'simplereenroll':
        return this.#reenroll(request, seen);
      default:
        return this.issued(seen.csr);
    }
  }

  #attributes(): EstAnswer {
    const { enforced = [] } = this.#options;
    if (enforced.length === 0) return { status: 204 };
    // one line and a NUL, as libest
    return { body: `${encode(sequence(...enforced.map(oid))).toString('base64')}\0` };
  }

  #see(request: IncomingMessage, operation: string, body: Buffer): SeenRequest {
    const socket = request.socket as TLSSocket; // the socket of an https server
    const peer = socket.authorized ? socket.getPeerX509Certificate() : undefined;
    return {
      operation,
      csr: request.method === 'POST' ? Buffer.from(body.toString('latin1'), 'base64') : undefined,
      client: peer?.subject.replace(/^CN=/, ''),
      authorization: request.headers.authorization,
      protocol: socket.getProtocol(),
      path: request.url ?? '',
    };
  }

  #authenticate({ client, authorization }: SeenRequest): EstAnswer | undefined {
    const { clientRoots, basic } = this.#options;
    if (clientRoots === undefined && basic === undefined) return undefined;
    if (client !== undefined) return undefined;
    const expected = basic && `Basic ${Buffer.from(basic).toString('base64')}`;
    if (expected !== undefined && authorization === expected) return undefined;
    // as libest: without a challenge a client certificate is wanted
    const headers = basic === undefined ? {} : { 'WWW-Authenticate': 'Basic realm="estrealm"' };
    return { status: 401, headers };
  }

  /** As libest: a wrong challengePassword is refused also where none is wanted. */
  #checkPossession({ socket }: IncomingMessage, { csr }: SeenRequest): EstAnswer | undefined {
    if (csr === undefined) return undefined;
    const found = challengePasswordIn(csr);
    const finished = (socket as TLSSocket).getPeerFinished()?.toString('base64');
    const { wantsTlsUnique = false } = this.#options;
    if (wantsTlsUnique ? found === finished : found === undefined) return undefined;
    return { status: 401, body: 'Proof of Possession Mismatch.' };
  }

  /** Compares octets, as globalsign/est does. */
  #reenroll({ socket }: IncomingMessage, { csr }: SeenRequest): Promise<EstAnswer> | EstAnswer {
    const peer = (socket as TLSSocket).getPeerX509Certificate();
    if (peer === undefined) return { status: 403, body: '403 no certificate\n' };
    if (csr === undefined || !isSameRequest(csr, parseCertificate(peer.raw, 'client'))) {
      return {
        status: 403,
        body: '403 Subject and SubjectAltName fields in CSR must be identical\n',
      };
    }
    return this.issued(csr);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function send(response: ServerResponse, answer: EstAnswer): void {
  const { status = 200, headers = {}, body = '', isChunked = false, raw } = answer;
  if (raw !== undefined) {
    raw(response.socket as TLSSocket);
    return;
  }
  const bytes = Buffer.from(body);
  const length = isChunked || status === 204 ? {} : { 'content-length': String(bytes.length) };
  response.writeHead(status, { ...length, ...headers });
  if (isChunked) for (const byte of bytes) response.write(Buffer.from([byte]));
  response.end(isChunked || status === 204 ? undefined : bytes);
}
