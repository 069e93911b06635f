import { readFileSync } from 'node:fs';
import type { Log } from '../log/log.ts';

/** What of a unit's sandbox a process can see of itself; the names are those in `Describe`. */
export interface Sandbox {
  readonly no_new_privileges: boolean;
  readonly system_call_filter: boolean;
  readonly no_capabilities: boolean;
  readonly private_users: boolean;
  readonly private_network: boolean;
  readonly private_tmp: boolean;
  readonly read_only_system: boolean;
  readonly no_core: boolean;
}

/** The contents of a file below /proc/self. */
export type ReadOwn = (name: string) => string;

const readOwn: ReadOwn = (name) => readFileSync(`/proc/self/${name}`, 'utf8');

/** Looks at what is in force. A file that cannot be read proves nothing, so its parts count as missing. */
export function readSandbox(read: ReadOwn = readOwn): Sandbox {
  const textOf = (name: string): string => {
    try {
      return read(name);
    } catch {
      return ''; // hidden from the process, or a kernel without it
    }
  };
  const status = textOf('status');
  const field = (name: string): string =>
    new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(status)?.[1] ?? '';
  const mounts = parseMounts(textOf('mountinfo'));
  return {
    no_new_privileges: field('NoNewPrivs') === '1',
    system_call_filter: field('Seccomp') === '2',
    no_capabilities: /^0+$/.test(field('CapBnd')) && /^0+$/.test(field('CapEff')),
    private_users: !['', '0 0 4294967295'].includes(
      textOf('uid_map').trim().split(/\s+/).join(' '),
    ),
    private_network: hasOnlyLoopback(textOf('net/dev')),
    private_tmp: mountOf(mounts, '/tmp')?.root.includes('/systemd-private-') === true,
    read_only_system: ['/usr', '/etc'].every((path) => mountOf(mounts, path)?.isReadOnly === true),
    no_core: /^Max core file size +0 +0 /m.test(textOf('limits')),
  };
}

/** Reports once whether everything is in force; without systemd, nothing is expected. */
export function reportSandbox(
  sandbox: Sandbox,
  { log, environment, unconfined }: SandboxReport,
): void {
  if (environment['INVOCATION_ID'] === undefined) return;
  const missing = Object.entries(sandbox)
    .filter(([part, inForce]) => !inForce && !unconfined.some((one) => one === part))
    .map(([part]) => part);
  if (missing.length === 0) log.info('sandbox in force');
  else {
    const advice =
      'compare the unit with the installed one: systemctl cat, systemd-analyze security';
    log.warn('sandbox incomplete', { missing: missing.join(', '), advice });
  }
}

/** Where the report goes, and what it does not expect. */
export interface SandboxReport {
  readonly log: Log;
  readonly environment: NodeJS.ProcessEnv;
  /** What the unit of the service leaves out. */
  readonly unconfined: readonly (keyof Sandbox)[];
}

interface Mount {
  readonly point: string;
  /** The directory of its file system that is mounted. */
  readonly root: string;
  readonly isReadOnly: boolean;
}

/** See proc_pid_mountinfo(5). */
function parseMounts(text: string): readonly Mount[] {
  return text.split('\n').flatMap((line) => {
    const [, , , root = '', point = '', options = ''] = line.split(' ');
    return point === '' ? [] : [{ point, root, isReadOnly: options.split(',').includes('ro') }];
  });
}

/** The mount that holds a path: the last one of those nearest to it. */
function mountOf(mounts: readonly Mount[], path: string): Mount | undefined {
  const holding = mounts.filter(
    ({ point }) => point === '/' || point === path || path.startsWith(`${point}/`),
  );
  const nearest = Math.max(...holding.map(({ point }) => point.length));
  return holding.findLast(({ point }) => point.length === nearest);
}

function hasOnlyLoopback(text: string): boolean {
  const names = [...text.matchAll(/^ *([^\s:|]+):/gm)].map(([, name]) => name);
  return names.length > 0 && names.every((name) => name === 'lo');
}
