import type Docker from 'dockerode';
import type {
  Container,
  ContainerState,
  EngineSystem,
  Finished,
  Image,
  Volume,
} from '../engine.ts';
import { digestLabel, owner, ownerLabel } from '../labels.ts';

/** What the engine's answer about a container means to us. */
export function containerOf(answer: Docker.ContainerInspectInfo): Container {
  const labels = new Map(Object.entries(answer.Config.Labels ?? {}));
  return {
    id: answer.Id,
    ours: labels.get(ownerLabel) === owner,
    digest: labels.get(digestLabel) ?? '',
    state: stateOf(answer.State),
    restartCount: answer.RestartCount,
    engineRestarts: !['', 'no'].includes(answer.HostConfig.RestartPolicy?.Name ?? ''),
    unhealthy: answer.State.Status === 'running' && answer.State.Health?.Status === 'unhealthy',
  };
}

/** What the engine's answer about an image means to us. */
export function imageOf({ Id, RepoDigests }: Docker.ImageInspectInfo): Image {
  const digests = (RepoDigests ?? []).map((reference) =>
    reference.slice(reference.indexOf('@') + 1),
  );
  return { id: Id, digests };
}

/** What the engine's answer about a volume means to us. */
export function volumeOf(answer: Docker.VolumeInspectInfo): Volume {
  return {
    name: answer.Name,
    driver: answer.Driver,
    options: new Map(Object.entries(answer.Options ?? {})),
    labels: new Map(Object.entries(answer.Labels ?? {})),
    mountpoint: answer.Mountpoint,
  };
}

function stateOf(state: Docker.ContainerInspectInfo['State']): ContainerState {
  switch (state.Status) {
    case 'created':
      // A container whose start failed is `created` too, with the exit code of the attempt.
      return { kind: 'created' };
    case 'running':
    case 'paused':
      return { kind: state.Status, startedAt: timeOf(state.StartedAt) ?? new Date(0) };
    case 'restarting':
    case 'exited':
      return { kind: state.Status, ...finished(state) };
    case 'removing':
    case 'dead':
      return { kind: state.Status };
    default:
      return { kind: 'unknown' };
  }
}

function finished(state: Docker.ContainerInspectInfo['State']): Finished {
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

/** The container that an event is about, undefined when the event does not say. */
export function eventName(event: object): string | undefined {
  const actor = 'Actor' in event ? event.Actor : undefined;
  if (typeof actor !== 'object' || actor === null || !('Attributes' in actor)) return undefined;
  const attributes = actor.Attributes;
  if (typeof attributes !== 'object' || attributes === null) return undefined;
  return 'name' in attributes && typeof attributes.name === 'string' ? attributes.name : undefined;
}

/** What the engine's answer about the machine means to us. */
export function systemOf(answer: unknown): EngineSystem {
  const members = new Map(
    typeof answer === 'object' && answer !== null ? Object.entries(answer) : [],
  );
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
  };
}
