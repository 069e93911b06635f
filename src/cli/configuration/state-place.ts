/** Where a state directory may lie: root gives all below it to the service's user, or removes it. */
import { posix } from 'node:path';
import type { Problem } from '../../service/config/config-problem.ts';
import { byService, type Configurations, statesOf } from './configurations.ts';

/** What programs and the system are made of: no state lies there. */
const systemPlaces = '/bin /boot /dev /etc /lib /lib32 /lib64 /libx32 /proc /sbin /sys /usr'.split(
  ' ',
);
/** File systems in memory, which are empty after a boot; see file-hierarchy(7). */
const volatilePlaces = ['/run', '/var/run'];
const leastDepth = 3;
/** Links that the units make: names of state directories in IoT Edge. */
const links = [
  ['/var/lib/iotedge/cs', '/var/lib/iotedge/certificates'],
  ['/var/lib/iotedge/iotedged', '/var/lib/iotedge/modules'],
] as const;

/** The settings that make something else than the state of one service its state directory. */
export function misplaced(all: Configurations): readonly Problem[] {
  const problems = misplacedStates(statesOf(all));
  return [...byService(all)].flatMap(([name, placed]) => {
    const setting = (['homedir_path', 'homedir'] as const).find(
      (one) => placed?.config[one] !== undefined,
    );
    const problem = problems.get(name);
    if (placed === undefined || setting === undefined || problem === undefined) return [];
    return [placed.problemAt([setting], `${problem}: name a directory of its own`)];
  });
}

/** The setting that publishes certificates where only one of the services may look. */
export function unreachablePublishing(all: Configurations): readonly Problem[] {
  const { certificates } = all;
  if (certificates === undefined) return [];
  const { certificates: rules, publish_dir: path } = certificates.config;
  if (!Object.values(rules).some(({ publish }) => publish === true)) return [];
  const state = [...statesOf(all).values()].find((one) => isWithin(placeOf(path), placeOf(one)));
  if (state === undefined) return [];
  const problem = `other programs cannot read below ${state}, the state directory of a service`;
  return [certificates.problemAt(['publish_dir'], problem)];
}

/** Why state directories cannot lie where they do, by the service. */
export function misplacedStates(states: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const problems = new Map<string, string>();
  for (const [name, path] of states) {
    const others = [...states].filter(([other]) => other !== name).map(([, other]) => other);
    const place = placeOf(path);
    const inside = [...others, '/var/lib/iotedge', '/etc/iotedge'].find((other) =>
      isWithin(placeOf(other), place),
    );
    const around = others.find((other) => isWithin(place, placeOf(other)));
    const what = `the state directory ${path} of the ${name} service`;
    if (inside !== undefined) problems.set(name, `${what} contains ${inside}`);
    else if (around !== undefined) problems.set(name, `${what} lies in another one's, ${around}`);
    else if (volatilePlaces.some((each) => isWithin(place, each)))
      problems.set(name, `${what} is empty after each boot`);
    else if (systemPlaces.some((each) => isWithin(place, each)) || depthOf(place) < leastDepth)
      problems.set(name, `${what} belongs to the system`);
  }
  return problems;
}

/** The directory that a path names. */
function placeOf(path: string): string {
  const place = posix.normalize(path).replace(/\/$/, '');
  const [from, to] = links.find(([link]) => isWithin(place, link)) ?? ['', ''];
  return `${to}${place.slice(from.length)}`;
}

const depthOf = (path: string): number => path.split('/').filter((part) => part !== '').length;

const isWithin = (path: string, folder: string): boolean => `${path}/`.startsWith(`${folder}/`);
