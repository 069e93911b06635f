import type { ModuleName } from '../../../ids.ts';
import type { OperationKind } from '../../../service/operations/operations.ts';
import { unlessAborted } from '../../../service/operations/unless-aborted.ts';
import {
  type ModuleSettings,
  restartedByRuntime,
} from '../../docker/create-options/create-options.ts';
import type { Update } from '../../module-operations.ts';
import { type ModuleSource, sourceDigest } from '../../module-source.ts';
import type { ModuleRuntime } from '../../service.ts';
import type { LogsManagement } from './log-routes.ts';
import type { ModulesManagement, Requested } from './modules-routes.ts';

/** What decides whether a module may be created. */
export interface AdmissionParts {
  readonly isElevated: (settings: ModuleSettings) => boolean;
  /** Throws AccessDenied for a module that the configuration forbids, or whose host paths are not safe. */
  readonly refuseUnconfined: (source: ModuleSource) => Promise<void>;
  /** The agent as modules.yaml configures it, undefined for any other module. */
  readonly configuredAgent: (name: ModuleName) => ModuleSource | undefined;
}

type Runtime = Pick<ModuleRuntime, 'operations' | 'kinds' | 'find' | 'log' | 'summaries'>;

/** The modules of the runtime. Callers were authorized by the socket: they may create elevated ones. */
export function modulesManagement(
  runtime: Runtime,
  { configuredAgent, isElevated, refuseUnconfined }: AdmissionParts,
): ModulesManagement & LogsManagement {
  const run = <Args>(
    kind: OperationKind<Args, void>,
    request: { readonly id: string; readonly args: Args },
    by: Requested,
  ) => runOperation(runtime, kind, request, by);
  const begin = async (source: ModuleSource, { requestId }: Requested): Promise<void> => {
    const args: Update = { source, start: true };
    const { operations, kinds } = runtime;
    await operations.begin(kinds.update, { id: source.name, args, wait: false, requestId });
  };
  return {
    list: () => runtime.summaries(),
    log: (name, request, signal) => runtime.log(name, request, signal),
    find: (name) => runtime.find(name)?.summary(),
    async admit({ name, settings: sent, env }) {
      const agent = configuredAgent(name);
      const settings = agent === undefined ? sent : restartedByRuntime(sent, agent.settings);
      const isOwn = agent === undefined ? {} : { base: sourceDigest(agent) };
      const source = { name, settings, env, elevated: isElevated(settings), ...isOwn };
      await refuseUnconfined(source);
      return source;
    },
    create: (source, by) => run(runtime.kinds.create, { id: source.name, args: source }, by),
    update: (source, start, by) => {
      // the agent does not live to see the end of its own
      if (source.base !== undefined) return begin(source, by);
      const args: Update = { source, start, until: 'started' };
      return run(runtime.kinds.update, { id: source.name, args }, by);
    },
    prepare: (source, by) => run(runtime.kinds.prepare, { id: source.name, args: source }, by),
    act: (action, name, by) => {
      // an agent stops a module before each update
      const args = action === 'stop' ? { resumes: true } : {};
      return run(runtime.kinds[action], { id: name, args }, by);
    },
  };
}

/** Waits for the end of an operation, which goes on when the client leaves. */
async function runOperation<Args>(
  { operations }: Pick<Runtime, 'operations'>,
  kind: OperationKind<Args, void>,
  { id, args }: { readonly id: string; readonly args: Args },
  { requestId, signal }: Requested,
): Promise<void> {
  const operation = await operations.begin(kind, { id, args, wait: true, requestId });
  try {
    await unlessAborted(() => operation.outcome, signal);
  } finally {
    if (signal.aborted) operation.leave();
  }
}
