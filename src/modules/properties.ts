import type { Properties } from '../dbus/definition.ts';
import { healthOf } from '../dbus/server/health.ts';
import { microseconds } from '../dbus/time.ts';
import type { moduleInterface, modulesInterface } from '../interfaces/modules.ts';
import { publicCreateOptions } from './docker/container-body.ts';
import type { ModuleSettings } from './docker/create-options/create-options.ts';
import type { EngineStatus } from './supervisor/engine-monitor.ts';
import type { ModuleStatus } from './supervisor/status.ts';

/** Problems of several modules and the engine may come together. */
const maxProblemsLength = 4096;

/** The sources of a module's properties. */
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
  const state = status.instance?.state;
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
    RestartCount: status.restartCount + (status.instance?.restartCount ?? 0),
    RestartReason: status.restartReason,
    Progress: status.progress,
    ProgressText: status.progressText,
    LastError: joined([problemOf(status), status.pullWarning, status.note, status.orderWarning]),
    ConfigDigest: digest,
    CreateOptions: JSON.stringify(publicCreateOptions(settings.createOptions)),
  };
}

/** The sources of the manager's properties. */
export interface ManagerView {
  readonly engine: EngineStatus;
  /** Errors of restoring persisted modules, and of the state disk. */
  readonly problems: readonly string[];
  /** The agent, if it exists: its problems are those of the device. */
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
  // the problem of the engine implies that the agent cannot be inspected
  const isReported = error !== '' && agent?.status.known === false;
  const problem = agent === undefined || isReported ? '' : problemOf(agent.status);
  const ofAgent = problem === '' ? '' : `module ${JSON.stringify(agent?.name)}: ${problem}`;
  return {
    Engine: { name, version, reachable },
    ...healthOf([error, ...problems, ofAgent], maxProblemsLength),
    Agent: agentName,
  };
}

/** The problems of a module as one text, '' without any. */
export function problemOf({ instance, error, goal, retryAt }: ModuleStatus): string {
  const state = instance?.state;
  const isOver = state?.kind === 'exited' && (retryAt !== undefined || goal === 'ended');
  // a module that ended well is restarted as well, so its wait is reported
  const isReported = isOver && (state.exitCode !== 0 || retryAt !== undefined);
  return joined([error, isReported ? `ended with exit code ${state.exitCode}` : '']);
}

/** All problems as one text; they may quote untrusted input, so its length is limited. */
function joined(problems: readonly string[]): string {
  return healthOf(problems, maxProblemsLength).LastError;
}
