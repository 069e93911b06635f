import type Docker from 'dockerode';
import type {
  Instance,
  InstanceQuery,
  InstanceState,
  LastRun,
} from '../../supervisor/module-type.ts';
import { agentSocketsVariable } from '../environment.ts';
import { digestLabel, moduleLabel, owner, ownerLabel } from '../labels.ts';
import type { EngineSystem, Image, Renamed, Volume } from './container-engine.ts';
import type { EndedContainer } from './events/kill-requests.ts';

/** Converts the engine's description of a container. */
export function containerOf(info: Docker.ContainerInspectInfo): Instance {
  const labels = new Map(Object.entries(info.Config.Labels ?? {}));
  return {
    id: info.Id,
    ours: isOurs(labels, info.Name),
    digest: labels.get(digestLabel) ?? '',
    imageId: info.Image,
    state: stateOf(info.State),
    restartCount: info.RestartCount,
    autoRestarts: !['', 'no'].includes(info.HostConfig.RestartPolicy?.Name ?? ''),
    unhealthy: info.State.Status === 'running' && info.State.Health?.Status === 'unhealthy',
    health: healthOf(info.State),
    agentSockets: agentSocketsOf(info.Config.Env),
  };
}

const agentSocketsPrefix = `${agentSocketsVariable}=unix://`;

function agentSocketsOf(environment: readonly string[] | null | undefined): string | undefined {
  const line = environment?.find((text) => text.startsWith(agentSocketsPrefix));
  return line?.slice(agentSocketsPrefix.length);
}

/** What the cause of a container's end depends on. */
export function endedOf({ Config, Id, State }: Docker.ContainerInspectInfo): EndedContainer {
  const { StopSignal: text }: Readonly<Record<string, unknown>> = Config;
  const stopSignal = typeof text === 'string' ? text : undefined;
  return { id: Id, exitCode: State.ExitCode, stopSignal };
}

/** A container that cannot be inspected any more: it can only be removed. */
export function damagedOf({ Id, Labels }: Docker.ContainerInfo, name: string): Instance {
  const labels = new Map(Object.entries(Labels));
  return {
    id: Id,
    ours: isOurs(labels, `/${name}`),
    digest: labels.get(digestLabel) ?? '',
    state: { kind: 'dead' },
    restartCount: 0,
    autoRestarts: false,
    unhealthy: false,
  };
}

/** Converts the engine's description of an image. */
export function imageOf({ Id, RepoDigests }: Docker.ImageInspectInfo): Image {
  const digests = (RepoDigests ?? []).map((reference) =>
    reference.slice(reference.indexOf('@') + 1),
  );
  return { id: Id, digests };
}

function healthOf({ Status, Health }: Docker.ContainerInspectInfo['State']): Instance['health'] {
  const health = Status === 'running' ? Health?.Status : undefined;
  return health === 'starting' || health === 'healthy' || health === 'unhealthy'
    ? health
    : undefined;
}

/**
 * Whether a container has the name of the module that it was created for. The label of the owner alone may be that of an
 * image, which engines give to each of its containers.
 */
function isOurs(labels: ReadonlyMap<string, string>, name: string): boolean {
  return labels.get(ownerLabel) === owner && labels.get(moduleLabel) === name.slice(1);
}

/** The container of ours that was created for a module and has another name; one of several is recognized by its id. */
export function renamedOf(
  found: readonly Docker.ContainerInfo[],
  { name, knownId, parkedIds = [] }: InstanceQuery,
): Renamed | undefined {
  const others = found.filter(({ Id, Labels, Names }) => {
    if (parkedIds.includes(Id)) return false;
    return Labels[moduleLabel] === name && Names.length > 0 && !Names.includes(`/${name}`);
  });
  const [renamed] = others.filter(({ Id }) => Id === knownId).concat(others);
  if (renamed === undefined || (others.length > 1 && renamed.Id !== knownId)) return undefined;
  return { id: renamed.Id, name: renamed.Names[0]?.replace(/^\//, '') ?? '' };
}

/** Converts the engine's description of a volume. */
export function volumeOf(info: Docker.VolumeInspectInfo): Volume {
  return {
    name: info.Name,
    driver: info.Driver,
    options: new Map(Object.entries(info.Options ?? {})),
    labels: new Map(Object.entries(info.Labels ?? {})),
    mountpoint: info.Mountpoint,
  };
}

function stateOf(state: Docker.ContainerInspectInfo['State']): InstanceState {
  switch (state.Status) {
    case 'created':
      // a container whose start failed is `created` too, with the exit code of the attempt
      return { kind: 'created' };
    case 'running':
    case 'paused':
      return { kind: state.Status, startedAt: timeOf(state.StartedAt) ?? new Date(0) };
    case 'restarting':
    case 'exited':
      return { kind: state.Status, ...lastRun(state) };
    case 'removing':
    case 'dead':
      return { kind: state.Status };
    default:
      return { kind: 'unknown' };
  }
}

function lastRun(state: Docker.ContainerInspectInfo['State']): LastRun {
  return {
    exitCode: state.ExitCode,
    startedAt: timeOf(state.StartedAt),
    finishedAt: timeOf(state.FinishedAt),
  };
}

/** The engine writes year 1 for never. */
function timeOf(text: string): Date | undefined {
  const time = new Date(text);
  return time.getTime() > 0 ? time : undefined;
}

/** Converts the engine's description of the machine. */
export function systemOf(info: unknown): EngineSystem {
  const members = new Map(typeof info === 'object' && info !== null ? Object.entries(info) : []);
  const text = (key: string): string => String(members.get(key) ?? '');
  const amount = (key: string): number => Number(members.get(key) ?? 0);
  return {
    osType: text('OSType'),
    architecture: text('Architecture'),
    serverVersion: text('ServerVersion'),
    kernelVersion: text('KernelVersion'),
    operatingSystem: text('OperatingSystem'),
    cpus: amount('NCPU'),
    totalMemoryBytes: amount('MemTotal'),
    rootDirectory: text('DockerRootDir'),
    logDriver: text('LoggingDriver'),
  };
}
