import type { IncomingHttpHeaders } from 'node:http';

/** One request as the double's two halves see it. */
export interface CloudRequest {
  readonly method: string;
  readonly path: readonly string[];
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: unknown;
  /** Common name of the client certificate, when it chains to an enrolled root. */
  readonly clientName: string | undefined;
  readonly now: Date;
}

/** One answer; without a body it has no content. */
export interface CloudResponse {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/** Thrown by either half: answered as the services answer errors. */
export class CloudRefusal extends Error {
  readonly response: CloudResponse;

  constructor(status: number, message: string, errorCode = status * 1000) {
    super(message);
    const trackingId = '0a1b2c3d-0000-4000-8000-000000000000';
    const timestampUtc = new Date().toISOString();
    this.response = { status, body: { errorCode, trackingId, message, timestampUtc } };
  }
}

/** The one api-version that a half speaks. */
export function requireApiVersion(request: CloudRequest, version: string): void {
  const given = request.query.get('api-version');
  if (given === null) throw new CloudRefusal(400, 'api-version is missing', 400002);
  if (given !== version) throw new CloudRefusal(400, `api-version ${given} is not known`, 400002);
}

/** The body as an object of strings and more; a request with a body must say that it is JSON. */
export function requireJson(request: CloudRequest): Readonly<Record<string, unknown>> {
  const type = request.headers['content-type'] ?? '';
  if (!/^application\/json(;|$)/.test(type)) {
    throw new CloudRefusal(415, `content type ${type} is not JSON`);
  }
  if (typeof request.body !== 'object' || request.body === null || Array.isArray(request.body)) {
    throw new CloudRefusal(400, 'the body is not a JSON object');
  }
  return Object.fromEntries(Object.entries(request.body));
}
