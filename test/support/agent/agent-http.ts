/**
 * HTTP as the client of edgeAgent speaks it: a connection for each request, the body read to its end, ids percent-encoded.
 * It is strict about what that client needs of a response.
 */
import { type IncomingMessage, request } from 'node:http';
import { basename } from 'node:path';

const timeoutMs = 60_000;
/** It retries these, and nothing else. */
const firstRetried = 500;
const attempts = 3;
/** Of .NET's enumeration HttpStatusCode, which the client casts to: another one ends the request. */
const knownStatuses = new Set([
  100, 101, 102, 103, 200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304,
  305, 306, 307, 308, 400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414,
  415, 416, 417, 421, 422, 423, 424, 426, 428, 429, 431, 451, 500, 501, 502, 503, 504, 505, 506,
  507, 508, 510, 511,
]);

/** A response that violates what the client relies on. */
export class WireError extends Error {}

/** An error response of an API. */
export class ApiError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** A response without an error. */
export interface AgentResponse {
  readonly status: number;
  readonly type: string;
  readonly body: Buffer;
}

/** A request of the client. */
export interface AgentRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Percent-encoded, without the api-version. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly json?: object;
  /** The statuses that the client expects. */
  readonly statuses: readonly number[];
}

/** One of the two APIs, on a socket. */
export class AgentHttp {
  readonly #socketPath: string;
  readonly #apiVersion: string;
  /** Every request that was sent, as `METHOD path status`. */
  readonly sent: string[] = [];

  constructor(socketPath: string, apiVersion: string) {
    this.#socketPath = socketPath;
    this.#apiVersion = apiVersion;
  }

  /** The response with one of the expected statuses; ApiError for others, after repetitions of those from 500 on. */
  async call(wanted: AgentRequest): Promise<AgentResponse> {
    for (let attempt = 1; ; attempt++) {
      const response = await this.#once(wanted);
      if (wanted.statuses.includes(response.status)) return response;
      if (response.status < 400) throw new WireError(`${wanted.path}: status ${response.status}`);
      if (response.status < firstRetried || attempt === attempts) throw errorOf(response);
    }
  }

  /** The JSON body of a response. */
  async json(wanted: AgentRequest): Promise<unknown> {
    const { type, body } = await this.call(wanted);
    if (!/^application\/json\b/.test(type)) throw new WireError(`${wanted.path}: type "${type}"`);
    return JSON.parse(body.toString());
  }

  async #once({ method, path, query = {}, json }: AgentRequest): Promise<AgentResponse> {
    const search = new URLSearchParams({ 'api-version': this.#apiVersion, ...query });
    const body = json === undefined ? undefined : JSON.stringify(json);
    const response = await new Promise<AgentResponse>((resolve, reject) => {
      const call = request(
        {
          socketPath: this.#socketPath,
          agent: false,
          method,
          path: `${path}?${search.toString()}`,
          timeout: timeoutMs,
          headers: {
            Host: `${basename(this.#socketPath)}:80`,
            Accept: 'application/json',
            Connection: 'close',
            ...(body !== undefined && {
              'Content-Type': 'application/json; charset=utf-8',
              'Content-Length': Buffer.byteLength(body),
            }),
          },
        },
        (incoming) => {
          read(incoming).then(resolve, reject);
        },
      );
      call.on('timeout', () => call.destroy(new WireError(`${method} ${path}: no response`)));
      call.on('error', reject);
      call.end(body);
    });
    this.sent.push(`${method} ${path} ${response.status}`);
    return response;
  }
}

/** A response, whose server ends the connection after the body. */
async function read(incoming: IncomingMessage): Promise<AgentResponse> {
  const names = incoming.rawHeaders.filter((_, index) => index % 2 === 0);
  const lower = names.map((name) => name.toLowerCase());
  if (new Set(lower).size !== lower.length)
    throw new WireError(`a header twice: ${lower.join(' ')}`);
  const { headers, statusCode: status = 0 } = incoming;
  const chunks: Buffer[] = [];
  for await (const chunk of incoming as AsyncIterable<Buffer>) chunks.push(chunk);
  if (!incoming.complete) throw new WireError('the response ends early');
  const isFramed =
    headers['content-length'] !== undefined || headers['transfer-encoding'] === 'chunked';
  if (!isFramed && status !== 204 && status !== 304)
    throw new WireError('no length, and not chunked');
  if (!knownStatuses.has(status)) throw new WireError(`unknown status ${status}`);
  return { status, type: headers['content-type'] ?? '', body: Buffer.concat(chunks) };
}

/** The error of a response; its message is mandatory. */
function errorOf({ status, type, body }: AgentResponse): ApiError {
  if (!/^application\/json\b/.test(type)) throw new WireError(`${status} of type "${type}"`);
  const value: unknown = JSON.parse(body.toString());
  const message =
    typeof value === 'object' && value !== null && 'message' in value ? value.message : undefined;
  if (typeof message !== 'string' || message === '')
    throw new WireError(`${status} has no message`);
  return new ApiError(status, message);
}
