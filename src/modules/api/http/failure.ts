/** Failures on the wire: JSON with `message`, and a reason phrase of one word. */
import { type ErrorCode, isServiceError } from '../../../errors.ts';
import { PullFailure } from '../../supervisor/module-type.ts';
import { RolledBack } from '../../supervisor/update/update.ts';

/** A failure of the protocol itself. */
export class HttpProblem extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** The status of a failure and its message for the client. */
export interface Failure {
  readonly status: number;
  readonly message: string;
}

/** A limit is not a mistake of the client: 503, which SDKs retry, and never 429, which they do not. */
const statusOf: Readonly<Record<ErrorCode, number>> = {
  AccessDenied: 403,
  InteractiveAuthorizationRequired: 403,
  InvalidArgs: 400,
  LimitsExceeded: 503,
  UnknownMethod: 404,
  UnknownObject: 404,
  UnknownInterface: 404,
  UnknownProperty: 404,
  PropertyReadOnly: 403,
  NotFound: 404,
  AlreadyExists: 409,
  NotSupported: 400,
  Unavailable: 503,
  NotProvisioned: 503,
  Cancelled: 503,
  Failed: 500,
};

/** One word each: Java's SDK splits the status line at spaces and accepts three parts. */
const reasons: ReadonlyMap<number, string> = new Map([
  [400, 'Invalid'],
  [403, 'Forbidden'],
  [404, 'Missing'],
  [408, 'Late'],
  [409, 'Conflict'],
  [413, 'Oversized'],
  [414, 'Oversized'],
  [415, 'Unsupported'],
  [417, 'Unexpected'],
  [422, 'Unprocessable'],
  [431, 'Oversized'],
  [500, 'Failed'],
  [501, 'Unsupported'],
  [503, 'Unavailable'],
]);

/** Converts an error to a failure; internal errors are not disclosed. */
export function failureOf(error: unknown): Failure {
  if (error instanceof HttpProblem) return error;
  // as the original has it
  if (error instanceof PullFailure || error instanceof RolledBack)
    return { status: 500, message: error.message };
  if (isServiceError(error) && error.code !== 'Failed') {
    return { status: statusOf[error.code], message: error.message };
  }
  return { status: 500, message: 'internal error' };
}

/** The reason phrase of a failure; undefined when the standard one is a single word. */
export function reasonOf(status: number): string | undefined {
  return status < 400 ? undefined : (reasons.get(status) ?? 'Failed');
}

/** Of Node's parser. */
const maxHeadBytes = 16 << 10;

/** The complete response to an invalid request, after which the connection is closed. */
export function rawFailure({ status, message }: Failure): string {
  const body = JSON.stringify({ message });
  const lines = [
    `HTTP/1.1 ${status} ${reasonOf(status)}`,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    `Date: ${new Date().toUTCString()}`,
    'Connection: close',
  ];
  return `${lines.join('\r\n')}\r\n\r\n${body}`;
}

/** Converts the code of a parser error to a failure; undefined when the connection itself failed. */
export function parserProblem(code: string, packet?: Buffer): HttpProblem | undefined {
  if (code === 'HPE_HEADER_OVERFLOW') {
    const isTarget = /^[A-Z]+ [^\s]*$/.test(packet?.toString('latin1', 0, maxHeadBytes) ?? '');
    if (isTarget) return new HttpProblem(414, 'the target of the request is longer than 16 KiB');
    return new HttpProblem(431, 'the head of the request is longer than 16 KiB');
  }
  if (code === 'HPE_CHUNK_EXTENSIONS_OVERFLOW') {
    return new HttpProblem(413, 'the extensions of a chunk are too long');
  }
  if (code === 'HPE_INVALID_EOF_STATE') return new HttpProblem(400, 'the request was cut off');
  return code.startsWith('HPE_') ? new HttpProblem(400, 'not a request of HTTP/1.1') : undefined;
}
