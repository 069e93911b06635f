/**
 * HTTP on a unix socket as modules and their SDKs use it: `api-version` in the query of every request, JSON in both
 * directions, `{"message": …}` for every failure, 400 for an unsupported method.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { discard, readJson } from './body.ts';
import type { Exchange, ExchangeServer } from './exchange.ts';
import { failureOf, HttpProblem, reasonOf } from './failure.ts';
import { type Hold, type HoldLimits, Holds } from './hold.ts';
import { RequestQueue } from './request-queue.ts';
import { parseTarget } from './target.ts';
import { type SendLimits, Unsent } from './unsent.ts';

/** Requests in progress per lane: the services behind them have limits that all modules share. */
const maxConcurrent = 4;
/** A client that sends its whole body before it reads must be able to, or it never receives the refusal. */
const discardLimits = { bytes: 32 << 20, ms: 5_000, stallMs: 250 };
/** Limits after the response. A client that expects 100-continue seldom sends its body when it is refused. */
const lateLimits = { ...discardLimits, stallMs: discardLimits.ms };
const expectingLimits = { ...discardLimits, ms: 250 };
/** Announced to clients; less than the actual idle timeout. */
const keepAlive = 'timeout=120';

/** A parsed request. */
export interface ApiRequest {
  /** The parameters in the path, decoded. */
  readonly params: Readonly<Record<string, string>>;
  /** The JSON body, undefined when there is none. */
  readonly body: unknown;
  readonly requestId: string;
  /** Aborted when the connection is closed, also when the server closes it. */
  readonly signal: AbortSignal;
  readonly hold: Hold;
}

/** Response with a JSON value, or with bytes that already are JSON; secret bytes are wiped once sent. */
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
  /** The service that responses depend on, if it may be slow: it delays only requests of its lane. */
  readonly lane?: 'keys' | 'certificates';
  /** Throws when the path is not for this client, before its body is requested. */
  readonly admit?: (params: ApiRequest['params']) => void;
  readonly respond: (request: ApiRequest) => Promise<ApiReply> | ApiReply;
}

/** Outcome of a request, for the journal; contains no request or response content. */
export interface RequestRecord {
  readonly method: string;
  readonly route: string;
  readonly status: number;
  readonly requestId: string;
  readonly durationMs: number;
  readonly error: unknown;
  /** Whether the client disconnected before the response. */
  readonly abandoned: boolean;
}

/** Server options besides its routes. */
export interface ApiOptions {
  readonly requestId: () => string;
  readonly onRequest: (record: RequestRecord) => void;
  readonly holdLimits?: HoldLimits;
  readonly sendLimits?: SendLimits;
}

/** Handles requests by these routes. Never rejects. */
export function apiServer(routes: readonly Route[], options: ApiOptions): ExchangeServer {
  const lanes = new Map(routes.map(({ lane }) => [lane, new RequestQueue(maxConcurrent)]));
  const holds = new Holds(options.holdLimits);
  const parts = { ...options, routes, lanes, holds, unsent: new Unsent(options.sendLimits) };
  return {
    serve: (exchange) => serve(parts, exchange),
    refused: (problem) => {
      const { requestId } = options;
      const { status } = problem;
      const unknown = { method: '', route: '', durationMs: 0, abandoned: false };
      options.onRequest({ ...unknown, status, requestId: requestId(), error: problem });
    },
  };
}

/** Handles every request with the same failure. Never rejects. */
export function refusingServer(problem: HttpProblem): ExchangeServer {
  const unsent = new Unsent();
  const { status, message } = problem;
  return {
    serve: (exchange) => send({ unsent }, exchange, { status, json: { message } }),
    refused: () => undefined,
  };
}

interface ApiParts extends ApiOptions {
  readonly routes: readonly Route[];
  readonly lanes: ReadonlyMap<Route['lane'], RequestQueue>;
  readonly holds: Holds;
  readonly unsent: Unsent;
}

async function serve(parts: ApiParts, exchange: Exchange): Promise<void> {
  const startedAt = performance.now();
  const requestId = parts.requestId();
  const { request, closed } = exchange;
  const found: { route?: Route } = {};
  let failure: unknown;
  let reply: ApiReply;
  try {
    reply = await replyTo(parts, { ...exchange, requestId }, found);
  } catch (error) {
    failure = error;
    const { status, message } = failureOf(error);
    reply = { status, json: { message } };
  }
  parts.onRequest({
    method: request.method ?? '',
    route: found.route?.path ?? '',
    status: reply.status,
    requestId,
    durationMs: performance.now() - startedAt,
    error: failure,
    abandoned: closed.aborted,
  });
  await send(parts, exchange, reply);
}

async function replyTo(
  { routes, lanes, holds, unsent }: ApiParts,
  exchange: Exchange & { readonly requestId: string },
  found: { route?: Route },
): Promise<ApiReply> {
  const { request, response, broken, closed: signal, expects, requestId } = exchange;
  const segments = parseTarget(request.url ?? '');
  const { route, params } = findRoute(routes, request.method ?? '', segments);
  found.route = route;
  if (expects === 'other') throw new HttpProblem(417, 'the only expectation met is 100-continue');
  route.admit?.(params);
  const queue = lanes.get(route.lane) ?? new RequestQueue(1);
  return queue.run(async () => {
    await unsent.room();
    if (expects === 'continue') response.writeContinue();
    // not read earlier: until then the body blocks its connection and occupies no memory
    const { json: body, bytes } = await readJson(request, broken);
    const hold = holds.of({ bytes, signal, queue });
    return route.respond({ params, body, requestId, signal, hold });
  });
}

function findRoute(routes: readonly Route[], method: string, segments: readonly string[]) {
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
    if (part.startsWith(':')) params[part.slice(1)] = segment;
    else if (part !== segment) return undefined;
  }
  return params;
}

/** Sends the response after the rest of the request, or at once when that stalls; drains it for a while then. */
async function send(
  { unsent }: Pick<ApiParts, 'unsent'>,
  exchange: Exchange,
  reply: ApiReply,
): Promise<void> {
  const { closed, request } = exchange;
  const body = reply.secretJson ?? reply.jsonBytes ?? Buffer.from(JSON.stringify(reply.json ?? {}));
  const sendBody = () => sendWhole(exchange, reply.status, body);
  if (!closed.aborted) await unsent.take(body.length, sendBody, () => request.socket.destroy());
  reply.secretJson?.fill(0);
}

async function sendWhole(
  { request, response, broken, expects }: Exchange,
  status: number,
  body: Buffer,
): Promise<void> {
  // the client may send its body, or the next request instead
  const isUnsure = expects !== 'nothing' && !request.complete;
  if (isUnsure || broken.aborted || status === 408) response.shouldKeepAlive = false;
  let rest = isUnsure ? 'stalled' : await discard(request, broken, discardLimits);
  const headers = {
    'Content-Type': 'application/json',
    'Content-Length': body.length,
    ...(response.shouldKeepAlive && { 'Keep-Alive': keepAlive }),
  };
  const reason = reasonOf(status);
  if (reason === undefined) response.writeHead(status, headers);
  else response.writeHead(status, reason, headers);
  response.write(body);
  if (rest === 'stalled') {
    rest = await discard(request, broken, isUnsure ? expectingLimits : lateLimits);
  }
  await ended(request, response, rest === 'whole');
}

function ended(request: IncomingMessage, response: ServerResponse, whole: boolean): Promise<void> {
  return new Promise((resolve) => {
    if (response.destroyed || response.writableFinished) resolve();
    response.on('close', resolve);
    response.end(() => {
      if (!whole) request.socket.destroy();
    });
  });
}
