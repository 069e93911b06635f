import type { Via } from '../../dbus/client/via.ts';
import { ServiceError } from '../../errors.ts';
import { areEmpty, inOneLine, joinWords, type ServiceWords, wordsOf } from './error-bodies.ts';

/** A client certificate whose key stays in the Keys service. */
export interface RemoteCredential {
  readonly chainPem: string;
  readonly keyId: string;
  /** DER SubjectPublicKeyInfo. */
  readonly spki: Buffer;
}

/** One request to the cloud, authenticated as the device. */
export interface CloudRequest {
  readonly method: 'GET' | 'PUT' | 'DELETE';
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
}

/** A response of the cloud. */
export interface CloudResponse {
  readonly status: number;
  /** Seconds of the Retry-After header. */
  readonly retryAfterS: number | undefined;
  /** The parsed body; undefined when there is none or it is not JSON. */
  readonly body: unknown;
  /** The text of a body that is not JSON. */
  readonly text?: string | undefined;
  /** The header `iothub-errorcode`. */
  readonly errorCode?: string | undefined;
  /** The ETag header. */
  readonly etag?: string | undefined;
}

/** Sends requests as the device; Unavailable without a response, or when the server's certificate is invalid. */
export interface CloudClient {
  send(request: CloudRequest, via: Via): Promise<CloudResponse>;
}

/** An error response of the cloud; `retryAfterMs` is from its Retry-After. */
export class CloudError extends ServiceError {
  readonly status: number;
  readonly retryAfterMs: number | undefined;

  constructor(message: string, response: Pick<CloudResponse, 'status' | 'retryAfterS'>) {
    super('Unavailable', message);
    this.status = response.status;
    this.retryAfterMs =
      response.retryAfterS === undefined ? undefined : response.retryAfterS * 1000;
  }
}

const notEnrolled = 'the service does not accept this certificate: is the device enrolled with it';

/** Advice for the operator about a status, where the service gives no detail. */
const hints: Readonly<Record<number, string>> = {
  401: notEnrolled,
  403: 'the service forbids it: is the device or its enrollment disabled',
  404: 'the service does not know it',
  429: 'the service asks to slow down',
  500: 'the service has failed',
  503: 'the service is not available',
};

/** The same by error code; any other detail is shown without advice. */
const codeHints: Readonly<Record<string, string>> = { 401002: notEnrolled };

/** The error of a response: the request, the HTTP status, and the texts of the service. */
export function failureOf(what: string, response: CloudResponse): CloudError {
  const { status } = response;
  const words = wordsOf(response);
  const details = [joinWords(words), hintFor(status, words)].filter((part) => part !== '');
  const why = details.length === 0 ? '' : ` (${details.join('; ')})`;
  return new CloudError(`${what}: HTTP ${status}${why}`, response);
}

function hintFor(status: number, words: ServiceWords): string {
  const byStatus = areEmpty(words, status) ? hints[status] : undefined;
  return codeHints[words.errorCode] ?? byStatus ?? '';
}

const namePattern = /^[!-~]{1,256}$/;

/** A text to be shown: in one line, truncated. */
export function wordsField(body: unknown, name: string): string | undefined {
  const text = stringField(body, name);
  return text === undefined ? undefined : inOneLine(text);
}

/** A field with a name: 1 to 256 visible ASCII characters; undefined for anything else. */
export function nameField(body: unknown, name: string): string | undefined {
  const text = stringField(body, name);
  return text !== undefined && namePattern.test(text) ? text : undefined;
}

/** A field of an object as text, when it is a string or a number. */
export function stringField(body: unknown, name: string): string | undefined {
  const value: unknown = fieldOf(body, name);
  return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
}

/** A field of an object. */
export function fieldOf(body: unknown, name: string): unknown {
  if (typeof body !== 'object' || body === null || !Object.hasOwn(body, name)) return undefined;
  return new Map<string, unknown>(Object.entries(body)).get(name);
}
