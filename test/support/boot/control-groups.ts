import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const mounted = '/sys/fs/cgroup';

/** The control groups of a booted system: one in each hierarchy that its systemd uses. */
export interface ControlGroups {
  /** The hierarchies by their name below /sys/fs/cgroup; `.` is a machine with a single one. */
  readonly hierarchies: readonly string[];
  /** The directories of the groups on this machine. */
  readonly directories: readonly string[];
}

/**
 * Where a machine has hierarchies of version 1, a systemd that knows them gets all of them, with their controllers; a
 * later one gets that of version 2 alone, which has none there.
 */
export function controlGroups(name: string, knowsVersion1: boolean): ControlGroups {
  const hierarchies = hierarchiesFor(knowsVersion1);
  return { hierarchies, directories: hierarchies.map((each) => join(mounted, each, name)) };
}

function hierarchiesFor(knowsVersion1: boolean): readonly string[] {
  if (existsSync(join(mounted, 'cgroup.controllers'))) return ['.'];
  if (!knowsVersion1) return ['unified'];
  return readdirSync(mounted, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
}
