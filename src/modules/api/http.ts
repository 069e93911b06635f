/**
 * HTTP on a unix socket as modules and their SDKs speak it: `api-version` in the query of every request,
 * JSON both ways, `{"message": …}` for every failure, an unsupported method is 400.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { type ErrorCode, isServiceError } from '../../errors.ts';
import { HttpProblem, readJson } from './body.ts';
import { Turns } from './turns.ts';

/** Every version of the APIs that clients in the field ask for; all are served alike. */
const versions: ReadonlySet<string> = new Set([
  '2018-06-28',
  '2019-01-30',
  '2019-10-22',
  '2019-11-05',
  '2020-07-07',
  '2021-12-07',
  '2022-08-03',
]);

// One connection may carry any number of requests before the first answer, and what answers them has limits that all
// modules share.
const mostAtOnce = 4;
const mostWaiting = 32;

/** A request that has been understood as far as every route needs it. */
export interface ApiRequest {
  /** The parts of the path that the route leaves open, decoded. */
  readonly params: Readonly<Record<string, string>>;
  /** The JSON body, undefined when there is none. */
  readonly body: unknown;
  readonly requestId: string;
  /** Aborted when the client goes away or the server closes. */
  readonly signal: AbortSignal;
}

/** What to answer: JSON, or bytes that are JSON already; secret ones are wiped once they are sent. */
export interface ApiReply {
  readonly status: number;
  readonly json?: unknown;
  readonly jsonBytes?: Buffer;
  readonly secretJson?: Buffer;
}

/** One path of the API. `:name` in the path stands for one segment. */
export interface Route {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly answer: (request: ApiRequest) => Promise<ApiReply> | ApiReply;
}

/** What came of a request, for the journal. Nothing of the request's or the answer's content. */
export interface RequestRecord {
  readonly method: string;
  readonly route: string;
  readonly status: number;
  readonly requestId: string;
  readonly durationMs: number;
  readonly error: unknown;
}

/** What a listener needs besides its routes. */
export interface ListenerOptions {
  readonly signal: AbortSignal;
  readonly requestId: () => string;
  readonly onRequest: (record: RequestRecord) => void;
}

/** Answers requests by these routes. Never throws. */
export function listener(routes: readonly Route[], options: ListenerOptions): RequestListener {
  const turns = new Turns(mostAtOnce, mostWaiting);
  return (request, response) => {
    void answer(routes, { ...options, turns }, { request, response });
  };
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

async function answer(
  routes: readonly Route[],
  { signal, requestId: newId, onRequest, turns }: ListenerOptions & { readonly turns: Turns },
  { request, response }: Exchange,
): Promise<void> {
  const startedAt = performance.now();
  const requestId = newId();
  const gone = new AbortController();
  response.on('close', () => gone.abort());
  let route: Route | undefined;
  let failure: unknown;
  let reply: ApiReply;
  try {
    const url = parseUrl(request.url ?? '');
    const found = findRoute(routes, request.method ?? '', url.pathname);
    route = found.route;
    checkVersion(url.searchParams);
    const { params } = found;
    const ending = AbortSignal.any([signal, gone.signal]);
    // The body is read when it is the request's turn: until then it holds up the connection, not memory.
    reply = await turns.take(async () => {
      const body = await readJson(request);
      return found.route.answer({ params, body, requestId, signal: ending });
    });
  } catch (error) {
    failure = error;
    reply = failureReply(error);
  }
  send({ request, response }, reply);
  onRequest({
    method: request.method ?? '',
    route: route?.path ?? '',
    status: reply.status,
    requestId,
    durationMs: performance.now() - startedAt,
    error: failure,
  });
}

function parseUrl(target: string): URL {
  // The host in a URI on a unix socket means nothing, and some clients send one.
  const path = target.replace(/^[a-z+]+:\/\/[^/]*/, '');
  try {
    return new URL(`http://localhost${path}`);
  } catch {
    throw new HttpProblem(400, 'invalid request target');
  }
}

function findRoute(routes: readonly Route[], method: string, pathname: string) {
  const segments = pathname.replace(/\/$/, '').split('/');
  let known = false;
  for (const route of routes) {
    const params = match(route.path.split('/'), segments);
    if (params === undefined) continue;
    if (route.method === method) return { route, params };
    known = true;
  }
  throw known ? new HttpProblem(400, 'method not allowed') : new HttpProblem(404, 'not found');
}

function match(pattern: readonly string[], segments: readonly string[]) {
  if (pattern.length !== segments.length) return undefined;
  const params: Record<string, string> = {};
  for (const [index, part] of pattern.entries()) {
    const segment = segments[index] ?? '';
    if (part.startsWith(':')) params[part.slice(1)] = decode(segment);
    else if (part !== segment) return undefined;
  }
  return params;
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new HttpProblem(400, 'invalid percent-encoding in the path');
  }
}

function checkVersion(query: URLSearchParams): void {
  const version = query.get('api-version');
  if (version === null) throw new HttpProblem(400, 'api-version not specified');
  if (!versions.has(version)) throw new HttpProblem(400, 'invalid api-version');
}

function failureReply(error: unknown): ApiReply {
  const { status, message } = problemOf(error);
  return { status, json: { message } };
}

const statusOf: Readonly<Record<ErrorCode, number>> = {
  AccessDenied: 403,
  InteractiveAuthorizationRequired: 403,
  InvalidArgs: 400,
  LimitsExceeded: 429,
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

function problemOf(error: unknown): { readonly status: number; readonly message: string } {
  if (error instanceof HttpProblem) return error;
  if (isServiceError(error) && error.code !== 'Failed') {
    return { status: statusOf[error.code], message: error.message };
  }
  return { status: 500, message: 'internal error' };
}

function send({ request, response }: Exchange, reply: ApiReply): void {
  const body = reply.secretJson ?? reply.jsonBytes ?? Buffer.from(JSON.stringify(reply.json ?? {}));
  response.on('close', () => {
    reply.secretJson?.fill(0);
    // What is left of a body that nobody will read.
    if (!request.complete) request.destroy();
  });
  if (!request.complete) response.shouldKeepAlive = false;
  response.writeHead(reply.status, {
    'Content-Type': 'application/json',
    'Content-Length': body.length,
  });
  response.end(body);
}
