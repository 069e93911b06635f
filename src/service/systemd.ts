import { fstatSync } from 'node:fs';
import type { JournalSend } from './journal.ts';

/** What systemd takes from a process that it started. */
export interface Systemd {
  /** Present when standard error goes to the journal. */
  readonly journalSend?: JournalSend;
  readonly notify: (state: string) => void;
}

interface Linux {
  readonly journalSend: JournalSend;
  readonly notify: (state: string) => void;
}

const linuxModule: string = '../native/linux.js';
const none: Systemd = { notify: () => undefined };

/** The connection to systemd, as far as it started this process and the addon for it is there. */
export async function openSystemd(environment: NodeJS.ProcessEnv): Promise<Systemd> {
  const hasJournal = isJournal(environment['JOURNAL_STREAM']);
  const hasNotify = environment['NOTIFY_SOCKET'] !== undefined;
  if (!hasJournal && !hasNotify) return none;
  const linux = await loadLinux();
  if (linux === undefined) return none;
  return {
    ...(hasJournal && { journalSend: linux.journalSend }),
    notify: hasNotify ? quietly(linux.notify) : none.notify,
  };
}

/** Without the addon records go to standard error, and Type=dbus tells systemd enough. */
async function loadLinux(): Promise<Linux | undefined> {
  try {
    const addon: unknown = await import(linuxModule);
    return isLinux(addon) ? addon : undefined;
  } catch {
    return undefined;
  }
}

function isLinux(addon: unknown): addon is Linux {
  if (typeof addon !== 'object' || addon === null) return false;
  const { journalSend, notify } = { journalSend: undefined, notify: undefined, ...addon };
  return typeof journalSend === 'function' && typeof notify === 'function';
}

/** `dev:inode` of the stream that systemd gave to the process, which may have been replaced since. */
function isJournal(stream: string | undefined): boolean {
  if (stream === undefined) return false;
  const { dev, ino } = fstatSync(2);
  return stream === `${dev}:${ino}`;
}

function quietly(notify: (state: string) => void): (state: string) => void {
  return (state) => {
    try {
      notify(state);
    } catch {
      // systemd that cannot be told is no reason to end.
    }
  };
}
