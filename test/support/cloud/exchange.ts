import { randomBytes, randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

/** The certificate that a client presented. */
export interface ClientCertificate {
  readonly commonName: string;
  /** SHA-256 of the certificate, lower-case hex. */
  readonly thumbprint: string;
  /** Whether it chains to an enrolled root. */
  readonly trusted: boolean;
}

/** One request, parsed for the double's two services. */
export interface CloudRequest {
  readonly method: string;
  readonly path: readonly string[];
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: unknown;
  readonly certificate: ClientCertificate | undefined;
  readonly now: Date;
}

/** One response; without a body it has no content. */
export interface CloudResponse {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/** A refusal by either service, in the format of the provisioning service. */
export class CloudRefusal extends Error {
  readonly response: CloudResponse;

  constructor(status: number, message: string, errorCode = status * 1000) {
    super(message);
    const trackingId = randomUUID();
    const timestampUtc = new Date().toISOString();
    this.response = { status, body: { errorCode, trackingId, message, timestampUtc } };
  }
}

let hubRefusals = 0;

/** A refusal in the format of the hub: two members and a header, and in every second response JSON text in the first. */
export class HubRefusal extends CloudRefusal {
  override readonly response: CloudResponse;

  constructor(status: number, name: string, message: string, code = status * 1000) {
    super(status, message, code);
    const trackingId = `${randomBytes(16).toString('hex')}-G:0-TimeStamp:${new Date().toISOString()}`;
    const nested = { errorCode: code, trackingId, message, timestampUtc: new Date().toISOString() };
    const body =
      hubRefusals++ % 2 === 0
        ? { Message: `ErrorCode:${name};${message}`, ExceptionMessage: `Tracking ID:${trackingId}` }
        : { Message: JSON.stringify(nested), ExceptionMessage: '' };
    this.response = { status, headers: { 'iothub-errorcode': name }, body };
  }
}

/** Checks the api-version of a request; `refuse` creates the error. */
export function requireApiVersion(
  request: CloudRequest,
  versions: readonly string[],
  refuse: (message: string) => CloudRefusal,
): void {
  const given = request.query.get('api-version');
  if (given === null) throw refuse('api-version is missing');
  if (!versions.includes(given)) throw refuse(`api-version ${given} is not known`);
}

/** The body as an object; it must be declared as JSON and may have these members only. */
export function requireJson(
  request: CloudRequest,
  members: readonly string[],
): Readonly<Record<string, unknown>> {
  const type = request.headers['content-type'] ?? '';
  if (!/^application\/json *(;|$)/i.test(type)) {
    throw new CloudRefusal(415, `content type ${type} is not JSON`);
  }
  if (typeof request.body !== 'object' || request.body === null || Array.isArray(request.body)) {
    throw new CloudRefusal(400, 'the body is not a JSON object');
  }
  const unknown = Object.keys(request.body).filter((name) => !members.includes(name));
  if (unknown.length > 0) throw new CloudRefusal(400, `unknown members ${unknown.join(', ')}`);
  return Object.fromEntries(Object.entries(request.body));
}

/** The entries of an object, none for other values. */
export function entriesOf(value: unknown): Map<string, unknown> {
  return new Map(typeof value === 'object' && value !== null ? Object.entries(value) : []);
}
