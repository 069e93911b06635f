/**
 * The management API, for the agent and for administrators of this machine: who may connect to one of its sockets may do
 * everything. Each subject has a file of routes of its own.
 */
import { randomUUID } from 'node:crypto';
import type { ExchangeServer } from '../http/exchange.ts';
import { apiServer } from '../http/http.ts';
import type { Route } from '../http/route.ts';
import { logRequest, type RequestLogParts } from '../request-log.ts';
import { type LogsManagement, logRoutes } from './log-routes.ts';
import { type ModulesManagement, modulesRoutes } from './modules-routes.ts';

/** What the routes call, by subject. */
export interface ManagementBackend {
  readonly modules: ModulesManagement & LogsManagement;
}

/** All routes of the API. */
export function managementRoutes(backend: ManagementBackend): readonly Route[] {
  return [...modulesRoutes(backend.modules), ...logRoutes(backend.modules)];
}

/** Serves the API on one socket: its limits are for that socket alone. */
export function managementServer(
  routes: readonly Route[],
  parts: Omit<RequestLogParts, 'api'>,
): ExchangeServer {
  return apiServer(routes, {
    requestId: randomUUID,
    onRequest: (record) => logRequest({ ...parts, api: 'management' }, record),
  });
}
