/**
 * A double of the cloud on loopback: the provisioning service and the hub's identity registry on one HTTPS
 * port, which requests client certificates. It refuses what the real services refuse.
 */
import { createHash, randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { type SecureVersion, TLSSocket } from 'node:tls';
import {
  type ClientCertificate,
  CloudRefusal,
  type CloudRequest,
  type CloudResponse,
} from './exchange.ts';
import { type Enrollment, Provisioning } from './provisioning.ts';
import { Registry } from './registry.ts';
import { smallHub, Throttle, type ThrottleOptions } from './throttle.ts';

const maxBodyBytes = 256 << 10;
/** A keep-alive connection is closed after this number, which clients must handle. */
const requestsPerConnection = 25;

/** Options of a double; certificates and keys are PEM. */
export interface CloudOptions {
  readonly key: string;
  readonly certificate: string;
  /** Roots whose client certificates are enrolled. */
  readonly clientRoots: string;
  readonly scopeId: string;
  readonly enrollments: ReadonlyMap<string, Enrollment>;
  readonly assigningPolls?: number;
  readonly retryAfterS?: number;
  readonly throttle?: ThrottleOptions;
  /** By default a free port. */
  readonly port?: number;
  readonly minVersion?: SecureVersion;
  readonly maxVersion?: SecureVersion;
}

/** A request, recorded for the tests. */
export interface LoggedRequest {
  readonly method: string;
  readonly url: string;
  readonly status: number;
  readonly protocol: string;
}

export class Cloud implements AsyncDisposable {
  readonly requests: LoggedRequest[] = [];
  readonly provisioning: Provisioning;
  readonly registry: Registry;
  /** Responds in place of the services, for failures; undefined leaves the request to them. */
  interfere: ((request: CloudRequest) => CloudResponse | undefined) | undefined;
  /** How far the Date header is ahead of the clock. */
  clockSkewMs = 0;
  /** The hub that devices are assigned to, when it is not this one. */
  movedTo: string | undefined;
  readonly #server: Server;
  readonly #throttle: Throttle;

  private constructor(options: CloudOptions) {
    const { key, certificate: cert, clientRoots: ca, minVersion, maxVersion } = options;
    this.#server = createServer(
      {
        key,
        cert,
        ca,
        requestCert: true,
        rejectUnauthorized: false, // refused by a response, as the services do
        ...(minVersion === undefined ? {} : { minVersion }),
        ...(maxVersion === undefined ? {} : { maxVersion }),
      },
      (request, response) => void this.#serve(request, response),
    );
    this.#server.maxRequestsPerSocket = requestsPerConnection;
    this.#throttle = new Throttle(options.throttle ?? smallHub);
    this.provisioning = new Provisioning({
      scopeId: options.scopeId,
      enrollments: options.enrollments,
      assigningPolls: options.assigningPolls ?? 1,
      retryAfterS: options.retryAfterS ?? 1,
      assign: (registrationId, enrollment) => this.#assign(registrationId, enrollment),
    });
    this.registry = new Registry(() => this.host);
  }

  /** Listens on a port of the loopback interface. */
  static async start(options: CloudOptions): Promise<Cloud> {
    const cloud = new Cloud(options);
    await new Promise<void>((resolve, reject) => {
      cloud.#server.once('error', reject).listen(options.port ?? 0, '127.0.0.1', resolve);
    });
    return cloud;
  }

  /** The port on which it listens. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port; // it listens on TCP
  }

  /** The host name of the assigned hub, with a dot, which Azure's C clients require. */
  get host(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** The global endpoint for `identity.yaml`. */
  get endpoint(): string {
    return `https://localhost:${this.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
  }

  #assign(registrationId: string, { deviceId, symmetricKey }: Enrollment): string {
    if (this.movedTo !== undefined) return this.movedTo;
    const key = symmetricKey?.toString('base64');
    const attestation =
      key === undefined
        ? { certificateName: registrationId }
        : { keys: { primaryKey: key, secondaryKey: key } };
    this.registry.assign(deviceId, attestation);
    return this.host;
  }

  async #serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const response = await this.#respond(incoming);
    const protocol = incoming.socket instanceof TLSSocket ? incoming.socket.getProtocol() : '';
    this.requests.push({
      method: incoming.method ?? '',
      url: incoming.url ?? '',
      status: response.status,
      protocol: protocol ?? '',
    });
    const date = new Date(Date.now() + this.clockSkewMs).toUTCString();
    outgoing.writeHead(response.status, {
      date,
      'content-type': 'application/json; charset=utf-8',
      'x-ms-request-id': randomUUID(),
      ...response.headers,
    });
    outgoing.end(response.body === undefined ? undefined : JSON.stringify(response.body));
  }

  async #respond(incoming: IncomingMessage): Promise<CloudResponse> {
    try {
      const request = await requestOf(incoming);
      const other = this.interfere?.(request);
      if (other !== undefined) return other;
      if (Provisioning.serves(request.path)) return this.provisioning.respond(request);
      if (Registry.serves(request.path)) {
        return this.#throttle.refusal() ?? this.registry.respond(request);
      }
      throw new CloudRefusal(404, 'no such resource');
    } catch (error) {
      if (error instanceof CloudRefusal) return error.response;
      return new CloudRefusal(500, error instanceof Error ? error.message : 'failed').response;
    }
  }
}

async function requestOf(incoming: IncomingMessage): Promise<CloudRequest> {
  const url = new URL(incoming.url ?? '/', 'https://cloud');
  return {
    method: incoming.method ?? '',
    path: url.pathname.slice(1).split('/').map(decodeURIComponent),
    query: url.searchParams,
    headers: incoming.headers,
    body: await bodyOf(incoming),
    certificate: certificateOf(incoming),
    now: new Date(),
  };
}

async function bodyOf(incoming: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of incoming) {
    const bytes = Buffer.from(chunk as Uint8Array); // no encoding is set on the stream
    size += bytes.length;
    if (size > maxBodyBytes) throw new CloudRefusal(413, 'body too large');
    chunks.push(bytes);
  }
  if (size === 0) return undefined;
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw new CloudRefusal(400, 'the body is not JSON');
  }
}

function certificateOf({ socket }: IncomingMessage): ClientCertificate | undefined {
  if (!(socket instanceof TLSSocket)) return undefined;
  const { subject, raw } = socket.getPeerCertificate();
  if (raw === undefined || typeof subject?.CN !== 'string') return undefined;
  const thumbprint = createHash('sha256').update(raw).digest('hex');
  return { commonName: subject.CN, thumbprint, trusted: socket.authorized };
}
