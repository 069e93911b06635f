/**
 * The variables of sd_notify(3), sd_watchdog_enabled(3) and sd_listen_fds(3). They are for the process that systemd
 * started: a child that inherited them would report its states as ours, and believe that it was passed descriptors.
 */
const variables = [
  'NOTIFY_SOCKET',
  'WATCHDOG_USEC',
  'WATCHDOG_PID',
  'LISTEN_FDS',
  'LISTEN_FDNAMES',
  'LISTEN_PID',
  'LISTEN_PIDFDID',
  'FDSTORE',
] as const;

/** What systemd passed to this process in its environment. */
export type ManagerEnvironment = Readonly<Partial<Record<(typeof variables)[number], string>>>;

/** Removes the variables from an environment and returns them. */
export function takeManagerEnvironment(environment: NodeJS.ProcessEnv): ManagerEnvironment {
  const taken: Partial<Record<(typeof variables)[number], string>> = {};
  for (const name of variables) {
    const value = environment[name];
    if (value !== undefined) taken[name] = value;
    Reflect.deleteProperty(environment, name);
  }
  return taken;
}

/** A copy of an environment for a child process. */
export function childEnvironment(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const copy = { ...environment };
  takeManagerEnvironment(copy);
  return copy;
}
