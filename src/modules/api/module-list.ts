import { owner, ownerLabel } from '../docker/labels.ts';
import type { InstanceState } from '../supervisor/module-type.ts';
import type { ModuleStatus } from '../supervisor/status.ts';

/** The public part of a module. */
export interface ModuleSummary {
  readonly name: string;
  readonly type: string;
  readonly image: string;
  /** The id of the image of its container, undefined when it has none. */
  readonly imageId?: string | undefined;
  /** All labels: tools store environments in some. */
  readonly labels: Readonly<Record<string, string>>;
  readonly status: RuntimeStatus;
}

/** Status of a module in the terms of the API. */
export interface RuntimeStatus {
  readonly runtimeStatus: 'unknown' | 'running' | 'stopped' | 'failed' | 'dead';
  readonly startTime: Date | undefined;
  readonly exit: ModuleExit | undefined;
}

/** The last end of a module's container. */
export interface ModuleExit {
  readonly code: number;
  readonly time: Date | undefined;
}

/** Converts the status of a module to the terms of the HTTP APIs; `exit` is the last one that was observed. */
export function runtimeStatusOf(
  { instance, known }: ModuleStatus,
  exit?: ModuleExit,
): RuntimeStatus {
  const state = instance?.state;
  if (state === undefined) {
    return { runtimeStatus: known ? 'stopped' : 'unknown', startTime: undefined, exit: undefined };
  }
  const startTime = 'startedAt' in state ? state.startedAt : undefined;
  return { runtimeStatus: runtimeStatus(state), startTime, exit: exitOf(state) ?? exit };
}

/** The end that an instance's state reports, undefined when it has not ended. */
export function exitOf(state: InstanceState): ModuleExit | undefined {
  const ended = state.kind === 'exited' || state.kind === 'restarting' ? state : undefined;
  return ended && { code: ended.exitCode, time: ended.finishedAt };
}

function runtimeStatus(state: InstanceState): RuntimeStatus['runtimeStatus'] {
  switch (state.kind) {
    case 'running':
      return 'running';
    case 'created':
    case 'paused':
    case 'removing':
    case 'restarting':
      return 'stopped';
    case 'exited':
      return state.exitCode === 0 ? 'stopped' : 'failed';
    case 'dead':
      return 'dead';
    case 'unknown':
      return 'unknown';
  }
}

/** The response to `GET /modules` of the workload API: without environments, which tools store in labels too. */
export function moduleList(modules: readonly ModuleSummary[]): object {
  return { modules: modules.map((module) => detailsOf(module, { [ownerLabel]: owner })) };
}

/** A module as both APIs describe it, with these of its labels. */
export function detailsOf(
  { name, type, image, imageId, status }: ModuleSummary,
  labels: Readonly<Record<string, string>>,
): object {
  return {
    id: 'id',
    name,
    type,
    config: {
      settings: {
        image,
        ...(imageId !== undefined && { imageHash: imageId }),
        createOptions: { Labels: labels },
      },
      env: [],
    },
    status: {
      ...(status.startTime !== undefined && { startTime: status.startTime.toISOString() }),
      ...(status.exit !== undefined && { exitStatus: exitStatus(status.exit) }),
      runtimeStatus: { status: status.runtimeStatus },
    },
  };
}

function exitStatus({ code, time }: ModuleExit): object {
  return { exitTime: (time ?? new Date(0)).toISOString(), statusCode: String(code) };
}
