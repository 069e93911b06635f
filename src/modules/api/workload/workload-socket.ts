import { randomUUID } from 'node:crypto';
import { describeError, isServiceError } from '../../../errors.ts';
import type { ModuleName } from '../../../ids.ts';
import type { Log } from '../../../service/log/log.ts';
import type { Repeats } from '../../../service/log/repeats.ts';
import type { ConnectionLimits } from '../http/connections.ts';
import { HttpProblem } from '../http/failure.ts';
import { apiServer, type RequestRecord } from '../http/http.ts';
import type { SocketPlace } from '../http/listen.ts';
import { type ServedSocket, serveSocket } from '../http/socket.ts';
import { type WorkloadBackend, workloadRoutes } from './workload.ts';

/** Reasons may quote the request. */
const maxReason = 1024;

/** The module of a socket, the source of its responses, and the log of its requests. */
export interface WorkloadSocketParts {
  readonly module: ModuleName;
  readonly place: SocketPlace;
  readonly backend: WorkloadBackend;
  readonly log: Log;
  readonly requests: Repeats;
  readonly connections: ConnectionLimits;
}

/** Serves the workload API to one module. Disposing closes every connection. */
export function serveWorkload(parts: WorkloadSocketParts): Promise<ServedSocket> {
  const { backend, module, place, connections } = parts;
  const server = apiServer(workloadRoutes(module, backend), {
    requestId: randomUUID,
    onRequest: (record) => logRequest(parts, record),
  });
  return serveSocket(place, server, connections);
}

/** Our own failures are errors in the journal, mistakes of a module only information. */
function logRequest(
  { log, module, requests }: Pick<WorkloadSocketParts, 'log' | 'module' | 'requests'>,
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
  if (status < 400 || abandoned) {
    log.debug(abandoned ? 'workload request abandoned' : 'workload request completed', fields());
    return;
  }
  const isOurs = status >= 500 && !(error instanceof HttpProblem);
  const code = isServiceError(error) ? error.code : '';
  requests.note(`${module} ${method} ${route} ${status} ${code} ${reason}`, {
    level: isOurs ? 'error' : 'info',
    message: isOurs ? 'workload request failed' : 'workload request refused',
    cause: ['module', module],
    fields,
  });
}
