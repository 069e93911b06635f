/** The target of a request: its path and the version that it asks for. */
import { HttpProblem } from './failure.ts';

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

/** The decoded segments of the path; HttpProblem for a target without a version that is served, whatever its path. */
export function parseTarget(text: string): readonly string[] {
  // The host in a URI on a unix socket means nothing, and some clients send one.
  const [whole = ''] = text.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '').split('#', 1);
  const at = whole.indexOf('?');
  checkVersion(new URLSearchParams(at < 0 ? '' : whole.slice(at + 1)));
  const path = at < 0 ? whole : whole.slice(0, at);
  return path.replace(/\/$/, '').split('/').map(decode);
}

function checkVersion(query: URLSearchParams): void {
  // Some clients add theirs to a URI that has one.
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
