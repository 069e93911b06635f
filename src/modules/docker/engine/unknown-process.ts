import { readdirSync, readFileSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type Docker from 'dockerode';
import { ServiceError } from '../../../errors.ts';
import { moduleLabel } from '../labels.ts';
import { unlessMissing } from './connection/statuses.ts';
import type { RequestContext } from './connection/translate.ts';

/** Users name control groups below their service managers as they like, also like a container. */
const ofUser = /\/user@(\d+)\.service\//;
/** In the words of the engine's list. */
const stoppedStates: ReadonlySet<string> = new Set(['created', 'exited', 'dead']);
/** An engine may report the end of a container before the last of its processes has ended. */
const endingMs = 2_000;
const pauseMs = 100;

/**
 * The first process in the control group of one of these containers, which the engine takes for stopped: an engine that is
 * killed while it starts a container does not know later that it runs. The one of runc that waits for the start of the
 * container is none of the module's.
 */
export function unknownProcess(
  containerIds: readonly string[],
  socketPath: string,
): number | undefined {
  // of a rootless engine, also its user
  const engineUid = statSync(socketPath, { throwIfNoEntry: false })?.uid;
  const isOther = (group: string): boolean => {
    const [, uid] = ofUser.exec(group) ?? [];
    return uid !== undefined && Number(uid) !== engineUid;
  };
  const isOfThem = (group: string): boolean => containerIds.some((id) => group.includes(id));
  const found = readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    const groups = contentOf(pid, 'cgroup').split('\n');
    if (!groups.some((group) => isOfThem(group) && !isOther(group))) return false;
    return !/^(runc:\[|$)/.test(contentOf(pid, 'comm')) && !isZombie(pid);
  });
  return found.map(Number).toSorted((one, other) => one - other)[0];
}

/** Throws Unavailable while a container runs that the engine takes for stopped: without it, its processes are out of reach. */
export async function refuseRemoval(
  container: Docker.Container,
  context: RequestContext,
): Promise<void> {
  // the engine cannot inspect one that lost a part
  const found = await unlessMissing(container.inspect()).catch(() => undefined);
  const id = found?.Id ?? container.id;
  const isKnown = found?.State.Running === true || !/^[0-9a-f]{64}$/.test(id);
  await refuseProcess(isKnown ? [] : [id], context);
}

/** Throws Unavailable while another container of a module runs, which the engine takes for stopped. */
export async function refuseStart(
  docker: Docker,
  name: string,
  context: RequestContext,
): Promise<void> {
  const label = [`${moduleLabel}=${name}`];
  const found = await docker.listContainers({ all: true, filters: { label } });
  // the engine itself refuses the start of this one
  const others = found.filter(({ Names }) => !Names.includes(`/${name}`));
  const stopped = others.filter(({ State }) => stoppedStates.has(State));
  await refuseProcess(
    stopped.map(({ Id }) => Id),
    context,
  );
}

/** Throws Unavailable while a process runs of containers that the engine takes for stopped. */
async function refuseProcess(
  containerIds: readonly string[],
  { action, socketPath }: RequestContext,
): Promise<void> {
  for (let leftMs = endingMs; containerIds.length > 0; leftMs -= pauseMs) {
    const process = unknownProcess(containerIds, socketPath);
    if (process === undefined) return;
    if (leftMs <= 0) throw unknownFailure(action, process);
    await sleep(pauseMs);
  }
}

/** The failure of a request because of a process, which only root may end: the first of a container may ignore SIGTERM. */
export function unknownFailure(text: string, process: number, cause?: unknown): ServiceError {
  const hint = `it runs, which the engine does not know since it was killed; this can be done after: kill -KILL ${process}`;
  return new ServiceError('Unavailable', `${text}: ${hint}`, { cause });
}

function isZombie(pid: string): boolean {
  return /\) Z /.test(contentOf(pid, 'stat'));
}

/** A file of a process; empty when it has ended. Only the kernel writes these files: reading them does not block. */
function contentOf(pid: string, file: 'cgroup' | 'comm' | 'stat'): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch {
    return '';
  }
}
