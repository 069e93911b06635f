/** Problems of the machine that every service sees, in LastError with what to do about them. */
import type { ServiceDefinition } from '../dbus/definition.ts';
import type { ObjectManager } from '../dbus/server/object-manager.ts';
import type { Accounts } from './accounts.ts';
import { serviceUsers } from './config/common-config.ts';

/** The objects that show problems, and the sources of what is checked. */
export interface MachineParts {
  readonly objects: Pick<ObjectManager<ServiceDefinition>, 'setProblem'>;
  readonly now: () => Date;
  readonly environment: NodeJS.ProcessEnv;
}

/** Before the first release: a clock that shows an earlier time was never set. */
export const earliestClock = new Date('2026-01-01T00:00:00Z');
const clockCheckMs = 5_000;

/** Shows problems until it is disposed of. The clock is checked again until it is set; users are looked up once. */
export function watchMachine(parts: MachineParts, accounts: Pick<Accounts, 'uid'>): Disposable {
  const { objects, now, environment } = parts;
  const checkClock = (): void => {
    const problem = clockProblem(now());
    objects.setProblem('clock', problem);
    if (problem === '') clearInterval(timer);
  };
  const timer = setInterval(checkClock, clockCheckMs).unref();
  checkClock();
  // without systemd, as in a development environment, they need not exist
  if (environment['INVOCATION_ID'] !== undefined) {
    void usersProblem(accounts).then((problem) => objects.setProblem('users', problem));
  }
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

function clockProblem(now: Date): string {
  if (now.getTime() >= earliestClock.getTime()) return '';
  const time = now.toISOString();
  return `this clock says ${time}: set it with timedatectl, until then certificates are not valid`;
}

async function usersProblem(accounts: Pick<Accounts, 'uid'>): Promise<string> {
  const uids = await Promise.all(serviceUsers.map((name) => accounts.uid(name)));
  const missing = serviceUsers.filter((_name, index) => uids[index] === undefined);
  if (missing.length === 0) return '';
  return `no user ${missing.join(', ')}, whose calls are refused: run systemd-sysusers and iotedgectl system restart`;
}
