import { posix } from 'node:path';
import { type HeldFile, holdTrusted } from './held-file.ts';

/** What programs and the system are made of: no state lies there. */
const systemPlaces =
  '/bin /boot /dev /etc /lib /lib32 /lib64 /libx32 /proc /run /sbin /sys /usr'.split(' ');
/** A service writes it at its first start. */
const mark = 'shown.json';
const leastDepth = 3;

/**
 * Why root leaves a state directory of the configuration alone, by the service: whatever is below it would be given to
 * the service's user, or removed. It must be the state of one service and nothing else.
 */
export function misplacedStates(states: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const problems = new Map<string, string>();
  for (const [name, path] of states) {
    const place = posix.normalize(path).replace(/\/$/, '');
    const others = [...states].filter(([other]) => other !== name).map(([, other]) => other);
    const around = [...others, '/var/lib/iotedge', '/etc/iotedge'].find((other) =>
      isWithin(posix.normalize(other), place),
    );
    const advice = 'name a directory of its own as homedir_path';
    if (around !== undefined)
      problems.set(name, `${name}: its state directory ${path} contains ${around}: ${advice}`);
    else if (systemPlaces.some((each) => isWithin(place, each)) || depthOf(place) < leastDepth)
      problems.set(name, `${name}: its state directory ${path} belongs to the system: ${advice}`);
  }
  return problems;
}

/** Why a directory does not look like the state of a service; undefined when it does, is empty, or does not exist. */
export function foreignState(path: string, uid: number | undefined): string | undefined {
  using top = holdTrusted(path);
  if (top === undefined || isState(top, uid)) return undefined;
  return `${path} is not the state of a service: it is another user's, and has no ${mark}`;
}

function isState(top: HeldFile, uid: number | undefined): boolean {
  if (!top.stats.isDirectory() || top.stats.uid === uid) return true;
  const names = top.names();
  return names.length === 0 || names.includes(mark);
}

const depthOf = (path: string): number => path.split('/').filter((part) => part !== '').length;

const isWithin = (path: string, folder: string): boolean => `${path}/`.startsWith(`${folder}/`);
