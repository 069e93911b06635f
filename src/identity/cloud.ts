import type { Via } from '../dbus/via.ts';
import { ServiceError } from '../errors.ts';

/** A client certificate whose key stays in the Keys service. */
export interface RemoteCredential {
  readonly chainPem: string;
  readonly keyId: string;
  /** DER SubjectPublicKeyInfo. */
  readonly spki: Buffer;
}

/** One request to the cloud, made as the device. */
export interface CloudRequest {
  readonly method: 'GET' | 'PUT' | 'DELETE';
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
}

/** What the cloud answered. */
export interface CloudAnswer {
  readonly status: number;
  /** Seconds of Retry-After, when the answer has it. */
  readonly retryAfterS: number | undefined;
  /** The parsed body; undefined when there is none or it is not JSON. */
  readonly body: unknown;
}

/** Sends requests as the device; Unavailable when no answer comes or the server does not verify. */
export interface CloudClient {
  send(request: CloudRequest, via: Via): Promise<CloudAnswer>;
}

/** The cloud refused or could not be reached. `retryAfterMs` is what it asked for. */
export class CloudError extends ServiceError {
  readonly status: number;
  readonly retryAfterMs: number | undefined;

  constructor(message: string, answer: Pick<CloudAnswer, 'status' | 'retryAfterS'>) {
    super('Unavailable', message);
    this.status = answer.status;
    this.retryAfterMs = answer.retryAfterS === undefined ? undefined : answer.retryAfterS * 1000;
  }
}

/** What can be done about a status, or who will. */
const hints: Readonly<Record<number, string>> = {
  401: 'the service does not accept this certificate: is the device enrolled with it',
  403: 'the service forbids it: is the device or its enrollment disabled',
  404: 'the service does not know it',
  429: 'the service asks to slow down',
  500: 'the service has failed',
  503: 'the service is not available',
};

/** The failure that an answer stands for: what was asked, the HTTP status, the service's own words. */
export function failureOf(what: string, answer: CloudAnswer): CloudError {
  const { status, body } = answer;
  const field = (name: string): string => wordsField(body, name) ?? '';
  const details = [
    field('message'),
    field('errorCode') && `error ${field('errorCode')}`,
    field('trackingId') && `tracking id ${field('trackingId')}`,
    hints[status] ?? '',
  ].filter((part) => part !== '');
  const why = details.length === 0 ? '' : ` (${details.join('; ')})`;
  return new CloudError(`${what}: HTTP ${status}${why}`, answer);
}

const maxWords = 200;
const namePattern = /^[!-~]{1,256}$/;

/** A field that says something to people: without control characters, cut when it is long. */
export function wordsField(body: unknown, name: string): string | undefined {
  const text = stringField(body, name)?.replace(/\p{C}+/gu, ' ');
  return text !== undefined && text.length > maxWords ? `${text.slice(0, maxWords)}…` : text;
}

/** A field that names something: 1 to 256 visible ASCII characters; undefined for anything else. */
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
