import type { LogRequest } from '../../supervisor/module-type.ts';
import { HttpProblem } from '../http/failure.ts';
import { lastOf } from '../http/request/target.ts';
import { parseTimeParameter } from '../time-parameter.ts';

/** What a query asks for of a log. */
export interface LogQuery {
  readonly request: LogRequest;
  /** Whether each line begins with its time. */
  readonly timestamps: boolean;
}

/** No log has more lines. */
const mostLines = 2 ** 31 - 1;

/** Parses a query. Throws HttpProblem, 400, for anything that the parameters do not take. */
export function parseLogQuery(query: URLSearchParams, now: Date): LogQuery {
  const tail = tailOf(lastOf(query, 'tail'));
  const since = timeOf('since', lastOf(query, 'since'), now);
  const until = timeOf('until', lastOf(query, 'until'), now);
  const request = {
    ...(tail !== undefined && { tail }),
    ...(since !== undefined && { since }),
    ...(until !== undefined && { until }),
    ...(flagOf('follow', lastOf(query, 'follow')) && { follow: true }),
  };
  return { request, timestamps: flagOf('timestamps', lastOf(query, 'timestamps')) };
}

function flagOf(name: string, text = 'false'): boolean {
  if (text !== 'true' && text !== 'false') {
    throw new HttpProblem(400, `${name} is neither true nor false`);
  }
  return text === 'true';
}

function tailOf(text = 'all'): number | undefined {
  if (text === 'all') return undefined;
  if (!/^\d+$/.test(text)) throw new HttpProblem(400, 'tail is neither a number nor all');
  return Math.min(Number(text), mostLines);
}

/** Nanoseconds since the epoch; undefined for the epoch itself, which says nothing. */
function timeOf(name: string, text: string | undefined, now: Date): bigint | undefined {
  if (text === undefined) return undefined;
  const time = parseTimeParameter(text, now);
  if (time === undefined) throw new HttpProblem(400, `${name} is not a time or a duration`);
  const ms = Math.max(0, time.getTime());
  // a Date has no more than milliseconds
  const digits = /\.(\d+)/.exec(text)?.[1];
  const nanoseconds =
    digits === undefined
      ? BigInt(ms) * 1_000_000n
      : BigInt(Math.floor(ms / 1000)) * 1_000_000_000n + BigInt(digits.padEnd(9, '0').slice(0, 9));
  return nanoseconds === 0n ? undefined : nanoseconds;
}
