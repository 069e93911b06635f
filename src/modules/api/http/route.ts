import { HttpProblem } from './failure.ts';
import type { Hold } from './hold.ts';
import type { ApiVersion, Target } from './request/target.ts';

/** A parsed request. */
export interface ApiRequest {
  /** The parameters in the path, decoded. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** The JSON body, undefined when there is none, or one of another type. */
  readonly body: unknown;
  readonly requestId: string;
  /** Aborted when the connection is closed, also when the server closes it. */
  readonly signal: AbortSignal;
  readonly hold: Hold;
}

/** Response with a JSON value, with bytes that already are JSON, or with a stream; secret bytes are wiped once sent. */
export interface ApiReply {
  readonly status: number;
  readonly json?: unknown;
  readonly jsonBytes?: Buffer;
  readonly secretJson?: Buffer;
  readonly stream?: StreamBody;
}

/**
 * A body of unknown length, sent in chunks no faster than the client reads. When the client leaves, the signal of the
 * request is aborted and `return` of the iterator called; a failure closes the connection, so that what was sent does not
 * appear to be all.
 */
export interface StreamBody {
  readonly type: string;
  readonly chunks: AsyncIterable<Uint8Array>;
}

/** A resource behind routes: a slow one delays only the requests of its lane. */
export type Lane = 'keys' | 'certificates' | 'identities' | 'system' | 'operations';

/** The JSON body that a route reads. */
export interface RouteBody {
  /** Throws HttpProblem for a body that lacks a member or has one of another type. */
  readonly check: (body: unknown) => void;
  /** Whether `check` is left out for a request without a body, which is 400 otherwise. */
  readonly isOptional?: true;
  readonly maxBytes?: number;
  /** The status of a member that an object at this path has twice: 422 unless it says otherwise. */
  readonly duplicateStatus?: (path: readonly string[]) => number;
}

/** One path of the API. `:name` in the path stands for one segment that is not empty. */
export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  /** The lowest version that has it, the first one unless stated. */
  readonly since?: ApiVersion;
  /** Whether the path with a slash at its end is the same. */
  readonly trailingSlash?: true;
  readonly lane?: Lane;
  readonly body?: RouteBody;
  /** Whether replies are streams, of which a socket has a limited number at once. */
  readonly streams?: true;
  /** Throws when the path is not for this client, after its body was checked. */
  readonly admit?: (params: ApiRequest['params']) => Promise<void> | void;
  readonly respond: (request: ApiRequest) => Promise<ApiReply> | ApiReply;
}

/** A route, and the parameters in the path of a request for it. */
export interface FoundRoute {
  readonly route: Route;
  readonly params: ApiRequest['params'];
}

/** A route and the segments of its path. */
export interface RouteEntry {
  readonly route: Route;
  readonly pattern: readonly string[];
}

/** Prepares routes for `findRoute`. */
export function routeTable(routes: readonly Route[]): readonly RouteEntry[] {
  return routes.map((route) => ({ route, pattern: route.path.split('/') }));
}

/** The route of a request. Throws HttpProblem: 404 for another path or an older version, 400 for another method. */
export function findRoute(
  table: readonly RouteEntry[],
  method: string,
  target: Target,
): FoundRoute {
  let known = false;
  for (const { route, pattern } of table) {
    if (route.since !== undefined && target.version < route.since) continue;
    const params = match(pattern, route, target.segments);
    if (params === undefined) continue;
    if (route.method === method) return { route, params };
    known = true;
  }
  throw known ? new HttpProblem(400, 'method not allowed') : new HttpProblem(404, 'not found');
}

function match(
  pattern: readonly string[],
  { trailingSlash }: Route,
  segments: readonly string[],
): FoundRoute['params'] | undefined {
  const isSlashed = trailingSlash === true && segments.length > 2 && segments.at(-1) === '';
  const named = isSlashed ? segments.slice(0, -1) : segments;
  if (pattern.length !== named.length) return undefined;
  const params: Record<string, string> = {};
  for (const [index, part] of pattern.entries()) {
    const segment = named[index] ?? '';
    if (!part.startsWith(':')) {
      if (part !== segment) return undefined;
    } else if (segment === '') return undefined;
    else params[part.slice(1)] = segment;
  }
  return params;
}
