import { ownLabels } from '../docker/labels.ts';
import type { InstanceState } from '../supervisor/module-type.ts';
import type { ModuleStatus } from '../supervisor/status.ts';

/** The public part of a module. */
export interface ModuleSummary {
  readonly name: string;
  readonly type: string;
  readonly image: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly status: RuntimeStatus;
}

/** Status of a module in the terms of the API. */
export interface RuntimeStatus {
  readonly runtimeStatus: 'unknown' | 'running' | 'stopped' | 'failed' | 'dead';
  readonly startTime: Date | undefined;
  readonly exit: { readonly code: number; readonly time: Date | undefined } | undefined;
}

/** Converts the status of a module to the terms of the HTTP APIs. */
export function runtimeStatusOf({ instance }: ModuleStatus): RuntimeStatus {
  const state = instance?.state;
  if (state === undefined)
    return { runtimeStatus: 'unknown', startTime: undefined, exit: undefined };
  const startTime = 'startedAt' in state ? state.startedAt : undefined;
  const ended = state.kind === 'exited' || state.kind === 'restarting' ? state : undefined;
  const exit = ended && { code: ended.exitCode, time: ended.finishedAt };
  return { runtimeStatus: runtimeStatus(state), startTime, exit };
}

function runtimeStatus(state: InstanceState): RuntimeStatus['runtimeStatus'] {
  switch (state.kind) {
    case 'running':
      return 'running';
    case 'created':
    case 'paused':
    case 'restarting':
      return 'stopped';
    case 'exited':
      return state.exitCode === 0 ? 'stopped' : 'failed';
    case 'removing':
      return 'stopped';
    case 'dead':
      return 'dead';
    case 'unknown':
      return 'unknown';
  }
}

/** The response to `GET /modules`: without environments and without labels in which tools store their own data. */
export function moduleList(modules: readonly ModuleSummary[]): object {
  return { modules: modules.map(details) };
}

function details({ name, type, image, labels, status }: ModuleSummary): object {
  const shown = Object.entries(labels).filter(([label]) => !label.startsWith(ownLabels));
  const createOptions = { Labels: Object.fromEntries(shown) };
  return {
    id: 'id',
    name,
    type,
    config: { settings: { image, createOptions }, env: [] },
    status: {
      ...(status.startTime !== undefined && { startTime: status.startTime.toISOString() }),
      ...(status.exit !== undefined && { exitStatus: exitStatus(status.exit) }),
      runtimeStatus: { status: status.runtimeStatus },
    },
  };
}

function exitStatus({ code, time }: NonNullable<RuntimeStatus['exit']>): object {
  return { exitTime: (time ?? new Date(0)).toISOString(), statusCode: String(code) };
}
