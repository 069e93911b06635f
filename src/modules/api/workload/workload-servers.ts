import { randomUUID } from 'node:crypto';
import { describeError, isServiceError } from '../../../errors.ts';
import type { ModuleName } from '../../../ids.ts';
import type { Log } from '../../../service/log/log.ts';
import type { Repeats } from '../../../service/log/repeats.ts';
import type { ExchangeServer } from '../http/exchange.ts';
import { HttpProblem } from '../http/failure.ts';
import { apiServer, type RequestRecord } from '../http/http.ts';
import { type WorkloadBackend, workloadRoutes } from './workload.ts';

/** Reasons may quote the request. */
const maxReason = 1024;

/** The source of responses, and the log of requests. */
export interface WorkloadServersParts {
  readonly backend: WorkloadBackend;
  readonly log: Log;
  readonly requests: Repeats;
}

/** Servers of the workload API. Each module has one, with its limits, whatever socket it uses. */
export class WorkloadServers {
  readonly #parts: WorkloadServersParts;
  readonly #servers = new Map<ModuleName, ExchangeServer>();

  constructor(parts: WorkloadServersParts) {
    this.#parts = parts;
  }

  /** The server for a module. */
  of(module: ModuleName): ExchangeServer {
    const known = this.#servers.get(module);
    if (known !== undefined) return known;
    const parts = { ...this.#parts, module };
    const server = apiServer(workloadRoutes(module, parts.backend), {
      requestId: randomUUID,
      onRequest: (record) => logRequest(parts, record),
    });
    this.#servers.set(module, server);
    return server;
  }

  /** Forgets the server for a module that was removed. */
  delete(module: ModuleName): void {
    this.#servers.delete(module);
  }
}

/** Our own failures are errors in the journal, mistakes of a module only information. */
function logRequest(
  { log, module, requests }: WorkloadServersParts & { readonly module: ModuleName },
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
