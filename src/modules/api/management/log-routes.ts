import { isServiceError, ServiceError } from '../../../errors.ts';
import type { ModuleName } from '../../../ids.ts';
import { logFrames } from '../../logs/log-frames.ts';
import type { LogRequest, ModuleLog } from '../../supervisor/module-type.ts';
import { HttpProblem } from '../http/failure.ts';
import type { Route } from '../http/route.ts';
import { parseLogQuery } from './log-query.ts';
import { parseModule } from './module-path.ts';

/** The logs of modules. */
export interface LogsManagement {
  /** NotFound for a module that does not exist or has no container, NotSupported when its log is kept nowhere. */
  log(name: ModuleName, request: LogRequest, signal: AbortSignal): Promise<ModuleLog>;
}

/** The route of logs: framed as the engine frames them, that of a terminal as it is. */
export function logRoutes(modules: LogsManagement): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/modules/:name/logs',
      lane: 'operations',
      streams: true,
      respond: async ({ params, query, signal }) => {
        const name = parseModule(params['name'] ?? '');
        const { request, timestamps } = parseLogQuery(query, new Date());
        const log = await kept(modules.log(name, request, signal));
        const chunks = untilRemoved(logFrames(log, { timestamps }), signal);
        return { status: 200, stream: { type: 'text/plain', chunks } };
      },
    },
  ];
}

/** The status of the original for a log that is kept nowhere. */
async function kept(opening: Promise<ModuleLog>): Promise<ModuleLog> {
  try {
    return await opening;
  } catch (error) {
    if (isServiceError(error, 'NotSupported')) throw new HttpProblem(501, error.message);
    throw error;
  }
}

/** A log ends with its module. */
async function* untilRemoved(
  chunks: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  try {
    yield* chunks;
  } catch (error) {
    const isRemoved = error instanceof ServiceError && error.code === 'Cancelled';
    if (!isRemoved || signal.aborted) throw error;
  }
}
