import { readdirSync, readFileSync, statSync } from 'node:fs';
import type Docker from 'dockerode';
import { ServiceError } from '../../../errors.ts';
import { DamagedInstance } from '../../supervisor/module-type.ts';
import { messageOf, type RequestContext } from './connection/translate.ts';
import { isDamage, isLeftover } from './damage.ts';

/** What the engine's refusal of a start means for its container. */
export async function startFailure(
  container: Docker.Container,
  { action, socketPath }: RequestContext,
  error: unknown,
): Promise<unknown> {
  const text = `${action}: ${messageOf(error)}`;
  if (!isLeftover(text)) return isDamage(text) ? damaged(text, error) : error;
  // another container beside it would run the module twice; the first process of a container may ignore SIGTERM
  const process = processOf((await container.inspect()).Id, ownerOf(socketPath));
  if (process === undefined) return damaged(text, error);
  return new ServiceError(
    'Unavailable',
    `${text}: it runs, which the engine does not know since it was killed; it is started again after: kill -KILL ${process}`,
    { cause: error },
  );
}

function damaged(text: string, cause: unknown): DamagedInstance {
  return new DamagedInstance('Unavailable', text, { cause });
}

/** Users name control groups below their service managers as they like, also like a container. */
const ofUser = /\/user@(\d+)\.service\//;

/** The user whose socket it is, which is also the one of a rootless engine. */
function ownerOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.uid;
}

/**
 * The first process in the control group of a container, which the engine takes for stopped. The one of runc that waits
 * for the start of the container is none of the module's.
 */
function processOf(containerId: string, engineUid: number | undefined): number | undefined {
  const isOther = (group: string): boolean => {
    const [, uid] = ofUser.exec(group) ?? [];
    return uid !== undefined && Number(uid) !== engineUid;
  };
  const found = readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    const groups = contentOf(pid, 'cgroup').split('\n');
    if (!groups.some((group) => group.includes(containerId) && !isOther(group))) return false;
    return !/^(runc:\[|$)/.test(contentOf(pid, 'comm'));
  });
  return found.map(Number).toSorted((one, other) => one - other)[0];
}

/** A file of a process; empty when it has ended. Only the kernel writes these files: reading them does not block. */
function contentOf(pid: string, file: 'cgroup' | 'comm'): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch {
    return '';
  }
}
