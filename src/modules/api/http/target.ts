/** The target of a request: its path and API version. */
import { HttpProblem } from './failure.ts';

/** The API versions that clients in the field use; all are served alike. */
const versions: ReadonlySet<string> = new Set([
  '2018-06-28',
  '2019-01-30',
  '2019-10-22',
  '2019-11-05',
  '2020-07-07',
  '2021-12-07',
  '2022-08-03',
]);

/** Parses a target into its decoded path segments. Throws HttpProblem for any path without a supported version. */
export function parseTarget(text: string): readonly string[] {
  // some clients send a URI with a host, which has no meaning on a unix socket
  const [whole = ''] = text.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '').split('#', 1);
  const at = whole.indexOf('?');
  checkVersion(new URLSearchParams(at < 0 ? '' : whole.slice(at + 1)));
  const path = at < 0 ? whole : whole.slice(0, at);
  return path.replace(/\/$/, '').split('/').map(decode);
}

function checkVersion(query: URLSearchParams): void {
  // some clients append theirs to a URI that already has one
  const version = query.getAll('api-version').at(-1);
  if (version === undefined) throw new HttpProblem(400, 'api-version not specified');
  if (!versions.has(version)) throw new HttpProblem(400, 'invalid api-version');
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new HttpProblem(400, 'invalid percent-encoding in the path');
  }
}
