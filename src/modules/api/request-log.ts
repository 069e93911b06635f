import { describeError, isServiceError } from '../../errors.ts';
import type { Log } from '../../service/log/log.ts';
import type { Repeats } from '../../service/log/repeats.ts';
import { HttpProblem } from './http/failure.ts';
import type { RequestRecord } from './http/http.ts';

/** Reasons may quote the request. */
const maxReason = 1024;

/** The log of the requests of a socket. */
export interface RequestLogParts {
  readonly api: 'workload' | 'management';
  /** The module of the socket, undefined for one of this machine. */
  readonly module?: string | undefined;
  readonly log: Log;
  readonly requests: Repeats;
}

/** Our own failures are errors in the journal, mistakes of a client only information. */
export function logRequest(
  { api, module, log, requests }: RequestLogParts,
  record: RequestRecord,
): void {
  const { method, route, status, requestId, durationMs, error, abandoned } = record;
  const reason = error === undefined ? undefined : describeError(error).slice(0, maxReason);
  const fields = () => ({
    module,
    method,
    route,
    status,
    requestId,
    durationMs: Math.round(durationMs),
    error: reason,
  });
  // a stream that could not be produced has the status of its beginning
  if (abandoned || (status < 400 && error === undefined)) {
    log.debug(abandoned ? `${api} request abandoned` : `${api} request completed`, fields());
    return;
  }
  const isOurs = (status >= 500 || status < 400) && !(error instanceof HttpProblem);
  const code = isServiceError(error) ? error.code : '';
  requests.note(`${api} ${module ?? ''} ${method} ${route} ${status} ${code} ${reason}`, {
    level: isOurs ? 'error' : 'info',
    message: isOurs ? `${api} request failed` : `${api} request refused`,
    cause: module === undefined ? ['api', api] : ['module', module],
    fields,
  });
}
