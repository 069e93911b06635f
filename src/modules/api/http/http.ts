/**
 * HTTP on a unix socket as modules and their SDKs use it: `api-version` in the query of every request, JSON in both
 * directions, `{"message": …}` for every failure, 400 for an unsupported method. A request is refused because of its
 * version, its path, its method, its body, and only then because of its client.
 */

import type { Exchange, ExchangeServer } from './exchange.ts';
import { failureOf, HttpProblem } from './failure.ts';
import { type HoldLimits, Holds } from './hold.ts';
import { readJson } from './request/body.ts';
import { parseTarget } from './request/target.ts';
import { RequestQueue } from './request-queue.ts';
import {
  type ApiReply,
  findRoute,
  type Lane,
  type Route,
  type RouteBody,
  type RouteEntry,
  routeTable,
} from './route.ts';
import { send } from './send.ts';
import { Streams } from './streams.ts';
import { type SendLimits, Unsent } from './unsent.ts';

/** Requests in progress per lane: the services behind them have limits that all modules share. */
const maxConcurrent = 4;
/** Operations wait for an engine or a registry, each of them for minutes. */
const maxOperations = 64;

/** Outcome of a request, for the journal; contains no request or response content. */
export interface RequestRecord {
  readonly method: string;
  readonly route: string;
  readonly status: number;
  readonly requestId: string;
  readonly durationMs: number;
  readonly error: unknown;
  /** Whether the client disconnected before the response, or before the end of a stream. */
  readonly abandoned: boolean;
}

/** Server options besides its routes. */
export interface ApiOptions {
  readonly requestId: () => string;
  readonly onRequest: (record: RequestRecord) => void;
  readonly holdLimits?: HoldLimits;
  readonly sendLimits?: SendLimits;
  /** How long the client of a stream may read nothing. */
  readonly streamStallMs?: number;
}

/** Handles requests by these routes. Never rejects. */
export function apiServer(routes: readonly Route[], options: ApiOptions): ExchangeServer {
  const lanes = new Map(routes.map(({ lane }) => [lane, new RequestQueue(placesOf(lane))]));
  const parts = {
    ...options,
    routes: routeTable(routes),
    lanes,
    holds: new Holds(options.holdLimits),
    unsent: new Unsent(options.sendLimits),
    streams: new Streams(options.streamStallMs),
  };
  return {
    serve: (exchange) => serve(parts, exchange),
    refused: (problem) => {
      const { requestId } = options;
      const { status } = problem;
      const unknown = { method: '', route: '', durationMs: 0, abandoned: false };
      options.onRequest({ ...unknown, status, requestId: requestId(), error: problem });
    },
    close: () => parts.streams.close(),
  };
}

/** Handles every request with the same failure. Never rejects. */
export function refusingServer(problem: HttpProblem): ExchangeServer {
  const parts = { unsent: new Unsent(), streams: new Streams() };
  const { status, message } = problem;
  return {
    serve: (exchange) => send(parts, exchange, { status, json: { message } }),
    refused: () => undefined,
    close: () => undefined,
  };
}

interface ApiParts extends ApiOptions {
  readonly routes: readonly RouteEntry[];
  readonly lanes: ReadonlyMap<Lane | undefined, RequestQueue>;
  readonly holds: Holds;
  readonly unsent: Unsent;
  readonly streams: Streams;
}

/** What is known of a request when it fails, and the place of its stream. */
interface Progress {
  route?: Route;
  place?: Disposable;
}

function placesOf(lane: Lane | undefined): number {
  return lane === 'operations' ? maxOperations : maxConcurrent;
}

async function serve(parts: ApiParts, exchange: Exchange): Promise<void> {
  const startedAt = performance.now();
  const requestId = parts.requestId();
  const { request, closed } = exchange;
  const progress: Progress = {};
  let failure: unknown;
  let reply: ApiReply;
  try {
    reply = serialized(await replyTo(parts, { ...exchange, requestId }, progress));
  } catch (error) {
    failure = error;
    const { status, message } = failureOf(error);
    reply = { status, json: { message } };
  }
  const record = (error: unknown): void =>
    parts.onRequest({
      method: request.method ?? '',
      route: progress.route?.path ?? '',
      status: reply.status,
      requestId,
      durationMs: performance.now() - startedAt,
      error,
      abandoned: closed.aborted,
    });
  if (reply.stream === undefined) record(failure);
  try {
    await send(parts, exchange, reply);
  } catch (error) {
    failure = error;
  }
  if (reply.stream !== undefined) record(failure);
  progress.place?.[Symbol.dispose]();
}

/** Before the response begins: a value that is nested too deeply cannot be written as JSON. */
function serialized(reply: ApiReply): ApiReply {
  const { status, json } = reply;
  return json === undefined ? reply : { status, jsonBytes: Buffer.from(JSON.stringify(json)) };
}

async function replyTo(
  { routes, lanes, holds, unsent, streams }: ApiParts,
  exchange: Exchange & { readonly requestId: string },
  progress: Progress,
): Promise<ApiReply> {
  const { request, closed: signal, expects, requestId } = exchange;
  const target = parseTarget(request.url ?? '');
  const { route, params } = findRoute(routes, request.method ?? '', target);
  progress.route = route;
  if (expects === 'other') throw new HttpProblem(417, 'the only expectation met is 100-continue');
  const queue = lanes.get(route.lane) ?? new RequestQueue(1);
  return queue.run(async () => {
    await unsent.room();
    const { json: body, bytes } = await readBody(exchange, route);
    await route.admit?.(params);
    if (route.streams === true) progress.place = streams.reserve();
    const hold = holds.of({ bytes, signal, queue });
    return route.respond({ params, query: target.query, body, requestId, signal, hold });
  });
}

/** Reads and checks the body of a request; that of a GET has no meaning. */
async function readBody({ request, response, broken, expects }: Exchange, route: Route) {
  if (route.method === 'GET') return { json: undefined, bytes: 0 };
  if (expects === 'continue') response.writeContinue();
  // not read earlier: until then the body blocks its connection and occupies no memory
  const body = await readJson(request, broken, route.body);
  if (route.body !== undefined) check(route.body, body.json);
  return body;
}

function check({ check: checkBody, isOptional }: RouteBody, json: unknown): void {
  if (json !== undefined) checkBody(json);
  else if (isOptional !== true) throw new HttpProblem(400, 'the request has no JSON body');
}
