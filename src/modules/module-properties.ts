import type { Properties } from '../dbus/definition.ts';
import type { moduleInterface } from '../interfaces/modules.ts';
import type { RuntimeStatus } from './api/module-list.ts';
import { publicCreateOptions } from './docker/container-body.ts';
import type { ModuleSettings } from './docker/create-options/create-options.ts';
import type { ContainerState } from './docker/engine.ts';
import type { ModuleStatus } from './supervisor/goal.ts';

const longestProblems = 4096;

/** What a module is, for its properties. */
export interface ModuleView {
  readonly name: string;
  readonly settings: ModuleSettings;
  readonly digest: string;
  readonly status: ModuleStatus;
  /** The method of the operation in progress, `` when there is none. */
  readonly operation: string;
}

/** The values of org.iotedge.Modules1.Module. */
export function moduleProperties(view: ModuleView): Properties<typeof moduleInterface> {
  const { name, settings, digest, status, operation } = view;
  const state = status.container?.state;
  const ended = state?.kind === 'exited' || state?.kind === 'restarting' ? state : undefined;
  const startedAt = state !== undefined && 'startedAt' in state ? state.startedAt : undefined;
  return {
    Name: name,
    Type: 'docker',
    Image: settings.image,
    State: status.state,
    Operation: operation,
    ExitCode: ended?.exitCode ?? 0,
    StartedAt: microseconds(startedAt),
    FinishedAt: microseconds(ended?.finishedAt),
    RestartCount: status.restartCount + (status.container?.restartCount ?? 0),
    Progress: status.progress,
    ProgressText: status.progressText,
    LastError: joined([problemOf(status), status.note]),
    ConfigDigest: digest,
    CreateOptions: JSON.stringify(publicCreateOptions(settings.createOptions)),
  };
}

/** All that is wrong with a module, `` when nothing is. */
export function problemOf({ container, error, goal, retryAt }: ModuleStatus): string {
  const state = container?.state;
  const isOver = state?.kind === 'exited' && (retryAt !== undefined || goal === 'ended');
  // one that ends well is started again too, so waiting for that is worth a word
  const isWorthTelling = isOver && (state.exitCode !== 0 || retryAt !== undefined);
  return joined([error, isWorthTelling ? `ended with exit code ${state.exitCode}` : '']);
}

/** All problems in one text, which may quote what somebody sent. */
export function joined(problems: readonly string[]): string {
  const told = problems.filter((text) => text !== '').join('; ');
  return told.slice(0, longestProblems);
}

/** How a module is, in the words of the HTTP APIs. */
export function runtimeStatusOf({ container }: ModuleStatus): RuntimeStatus {
  const state = container?.state;
  if (state === undefined)
    return { runtimeStatus: 'unknown', startTime: undefined, exit: undefined };
  const startTime = 'startedAt' in state ? state.startedAt : undefined;
  const ended = state.kind === 'exited' || state.kind === 'restarting' ? state : undefined;
  const exit = ended && { code: ended.exitCode, time: ended.finishedAt };
  return { runtimeStatus: runtimeStatus(state), startTime, exit };
}

function runtimeStatus(state: ContainerState): RuntimeStatus['runtimeStatus'] {
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

function microseconds(time: Date | undefined): bigint {
  return time === undefined ? 0n : BigInt(time.getTime()) * 1000n;
}
