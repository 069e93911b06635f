/** Control groups as /proc/PID/cgroup lists them; see cgroups(7). */
import type { Cgroup } from '../supervisor/module-type.ts';

/** The kernel appends it to the path of a group that was removed. */
const removed = ' (deleted)';

/** Parses the contents of /proc/PID/cgroup. A path may contain colons. */
export function parseCgroup(text: string): Cgroup {
  const paths = new Map<string, string>();
  for (const line of text.split('\n')) {
    const fields = /^(\d+):([^:]*):(.*)$/.exec(line);
    if (fields !== null) paths.set(`${fields[1] === '0' ? '0' : ''}:${fields[2]}`, fields[3] ?? '');
  }
  return { unified: paths.get('0:'), systemd: paths.get(':name=systemd') };
}

/** Whether a group is another one or lies below it, in both hierarchies. */
export function isWithin(inner: Cgroup, outer: Cgroup): boolean {
  return (
    isPathWithin(inner.unified, outer.unified) &&
    isPathWithin(inner.systemd, outer.systemd) &&
    !isUnknown(outer)
  );
}

/** Whether every process of the machine would be in the group. */
export function isRoot({ unified, systemd }: Cgroup): boolean {
  return isRootPath(unified) && isRootPath(systemd);
}

function isUnknown({ unified, systemd }: Cgroup): boolean {
  return unified === undefined && systemd === undefined;
}

/** Segment by segment from the root; a hierarchy that the machine lacks decides nothing. */
function isPathWithin(inner: string | undefined, outer: string | undefined): boolean {
  if (inner === undefined || outer === undefined) return inner === outer;
  if (inner.endsWith(removed) || outer.endsWith(removed)) return false;
  const [within, parts] = [segmentsOf(inner), segmentsOf(outer)];
  return parts.every((part, index) => within[index] === part);
}

/** Above the root of this process's cgroup namespace are only `..` segments. */
function isRootPath(path: string | undefined): boolean {
  return path === undefined || segmentsOf(path).every((segment) => segment === '..');
}

function segmentsOf(path: string): readonly string[] {
  return path.split('/').filter(Boolean);
}
