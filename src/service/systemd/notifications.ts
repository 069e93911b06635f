import { notify } from '../../native/linux.ts';
import type { Log } from '../log/log.ts';
import type { ManagerEnvironment } from './manager-environment.ts';

/** Notifies systemd of a state of the process, with descriptors (sd_notify(3)). Returns false when it was not sent. */
export type Notify = (state: string, fds?: readonly number[]) => boolean;

/** The journal, and what sends to the socket of systemd. */
export interface NotificationsParts {
  readonly log: Log;
  readonly send?: (socket: string, state: string, fds?: readonly number[]) => boolean;
}

/** What the loss of a notification means. */
const consequences: ReadonlyMap<string, string> = new Map([
  ['READY=1', 'systemd does not know that the service is ready, or that its reload has ended'],
  ['RELOADING=1', 'systemd does not know that the service reloads its configuration'],
  ['STOPPING=1', 'systemd does not know that the service is stopping'],
  ['WATCHDOG=1', 'systemd ends and restarts the service when this lasts for WatchdogSec='],
  ['FDSTORE=1', 'sockets do not survive a restart of the service: clients are refused meanwhile'],
  ['FDSTOREREMOVE=1', 'systemd keeps a socket that is not needed'],
]);

/** Notifies the systemd that started this process. The first of several lost notifications of a kind is logged. */
export function systemdNotifier(
  { NOTIFY_SOCKET: socket }: ManagerEnvironment,
  { log, send = notify }: NotificationsParts,
): Notify {
  const lost = new Set<string>();
  return (state, fds) => {
    if (socket === undefined) return false;
    const [kind = ''] = state.split('\n', 1);
    if (send(socket, state, fds)) {
      lost.delete(kind);
      return true;
    }
    if (!lost.has(kind)) {
      const consequence = consequences.get(kind);
      log.warn('notification of systemd lost', { notification: kind, consequence });
    }
    lost.add(kind);
    return false;
  };
}
