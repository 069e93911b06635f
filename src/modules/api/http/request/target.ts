/** The target of a request: its path, its parameters and its API version. */
import { HttpProblem } from '../failure.ts';

/** The API versions that clients in the field use, oldest first; all are served alike. */
const versions = [
  '2018-06-28',
  '2019-01-30',
  '2019-10-22',
  '2019-11-05',
  '2020-07-07',
  '2021-12-07',
  '2022-08-03',
] as const;

export type ApiVersion = (typeof versions)[number];

/** The parsed target of a request. */
export interface Target {
  /** The decoded segments of the path, the first of which is empty. */
  readonly segments: readonly string[];
  readonly query: URLSearchParams;
  readonly version: ApiVersion;
}

/** Parses a target. Throws HttpProblem for any path without a supported version. */
export function parseTarget(text: string): Target {
  // some clients send a URI with a host, which has no meaning on a unix socket
  const [whole = ''] = text.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '').split('#', 1);
  const at = whole.indexOf('?');
  const query = new URLSearchParams(at < 0 ? '' : whole.slice(at + 1));
  const version = versionOf(query);
  const path = at < 0 ? whole : whole.slice(0, at);
  return { segments: path.split('/').map(decode), query, version };
}

/** The value of a parameter; the last one of several. */
export function lastOf(query: URLSearchParams, name: string): string | undefined {
  return query.getAll(name).at(-1);
}

function versionOf(query: URLSearchParams): ApiVersion {
  // some clients append theirs to a URI that already has one
  const text = lastOf(query, 'api-version');
  if (text === undefined) throw new HttpProblem(400, 'api-version not specified');
  const version = versions.find((one) => one === text);
  if (version === undefined) throw new HttpProblem(400, `invalid api-version ${shown(text)}`);
  return version;
}

function shown(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new HttpProblem(400, 'invalid percent-encoding in the path');
  }
}
