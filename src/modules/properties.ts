import type { Properties } from '../dbus/definition.ts';
import { microseconds } from '../dbus/time.ts';
import type { moduleInterface, modulesInterface } from '../interfaces/modules.ts';
import { publicCreateOptions } from './docker/container-body.ts';
import type { ModuleSettings } from './docker/create-options/create-options.ts';
import type { EngineStatus } from './supervisor/engine-monitor.ts';
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

/** What the properties of the manager are made from. */
export interface ManagerView {
  readonly engine: EngineStatus;
  /** What is wrong with what was there at the start. */
  readonly problems: readonly string[];
  /** The agent, if it is there: its problems are the device's. */
  readonly agent: { readonly name: string; readonly status: ModuleStatus } | undefined;
  /** The name of the agent that is configured, `` when there is none. */
  readonly agentName: string;
}

/** The values of org.iotedge.Modules1 that change. */
export function managerProperties({
  engine,
  problems,
  agent,
  agentName,
}: ManagerView): Omit<Properties<typeof modulesInterface>, 'Version'> {
  const { name, version, reachable, error } = engine;
  // the problem of the engine says already that the agent cannot be inspected
  const isSaid = error !== '' && agent?.status.known === false;
  const agentProblem = agent === undefined || isSaid ? '' : problemOf(agent.status);
  const all = [
    ...(error === '' ? [] : [error]),
    ...problems,
    ...(agent === undefined || agentProblem === ''
      ? []
      : [`module ${JSON.stringify(agent.name)}: ${agentProblem}`]),
  ];
  return {
    Engine: { name, version, reachable },
    Health: all.length === 0 ? 'ok' : 'degraded',
    LastError: joined(all),
    Agent: agentName,
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
function joined(problems: readonly string[]): string {
  const told = problems.filter((text) => text !== '').join('; ');
  return told.slice(0, longestProblems);
}
