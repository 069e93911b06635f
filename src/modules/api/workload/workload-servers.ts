import { randomUUID } from 'node:crypto';
import type { ModuleName } from '../../../ids.ts';
import type { Log } from '../../../service/log/log.ts';
import type { Repeats } from '../../../service/log/repeats.ts';
import type { ExchangeServer } from '../http/exchange.ts';
import { apiServer } from '../http/http.ts';
import { logRequest } from '../request-log.ts';
import { type WorkloadBackend, workloadRoutes } from './workload.ts';

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
    const { backend, log, requests } = this.#parts;
    const logParts = { api: 'workload', module, log, requests } as const;
    const server = apiServer(workloadRoutes(module, backend), {
      requestId: randomUUID,
      onRequest: (record) => logRequest(logParts, record),
    });
    this.#servers.set(module, server);
    return server;
  }

  /** Forgets the server for a module that was removed. */
  delete(module: ModuleName): void {
    this.#servers.delete(module);
  }
}
