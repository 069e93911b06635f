import { ServiceError } from '../../errors.ts';
import type { LogRequest } from '../supervisor/module-type.ts';

/** Options of GetLogs and OpenLog; times in microseconds since the epoch. */
export interface LogOptions {
  readonly tail?: number | undefined;
  readonly since?: bigint | undefined;
  readonly until?: bigint | undefined;
  readonly follow?: boolean | undefined;
}

/** The request for options, in which -1 lines are all, and time 0 is none. */
export function logRequestOf({
  tail = -1,
  since = 0n,
  until = 0n,
  follow,
}: LogOptions): LogRequest {
  if (tail < -1) throw new ServiceError('InvalidArgs', 'tail is a count of lines, or -1');
  return {
    ...(tail >= 0 && { tail }),
    ...(since > 0n && { since: since * 1000n }),
    ...(until > 0n && { until: until * 1000n }),
    ...(follow === true && { follow }),
  };
}
