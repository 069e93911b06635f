import { mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseCgroup } from '../../../src/modules/callers/cgroup.ts';
import type { Cgroup } from '../../../src/modules/supervisor/module-type.ts';
import { until } from '../deadline.ts';

/** Control groups below one of the test, in the hierarchy by which processes are recognized here. */
export class TestCgroups implements AsyncDisposable {
  readonly #root = join(mountPoint(), `iotedge-test-${process.pid}`);
  readonly #made: string[] = [];

  constructor() {
    mkdirSync(this.#root);
    this.#made.push(this.#root);
  }

  /** Creates a group, and those above it; returns its file to which a process writes its pid to join. */
  create(path: string): string {
    let directory = this.#root;
    for (const segment of path.split('/')) {
      directory = join(directory, segment);
      if (this.#made.includes(directory)) continue;
      mkdirSync(directory);
      this.#made.push(directory);
    }
    return join(directory, 'cgroup.procs');
  }

  /** Removes all groups once their processes have ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    await until(10_000, 'the groups to be empty', async () => {
      try {
        for (let last = this.#made.at(-1); last !== undefined; last = this.#made.at(-1)) {
          rmdirSync(last);
          this.#made.pop();
        }
        return true;
      } catch {
        return false;
      }
    });
  }
}

/** The groups of a process. */
export function cgroupOf(pid: number | 'self'): Cgroup {
  return parseCgroup(readFileSync(`/proc/${pid}/cgroup`, 'latin1'));
}

/** Where `name=systemd` of version 1 is mounted, else version 2. */
function mountPoint(): string {
  const mounts = readFileSync('/proc/self/mounts', 'latin1').split('\n');
  const words = mounts.map((line) => line.split(' '));
  const named = words.find(([, , type, options]) => {
    return type === 'cgroup' && options?.split(',').includes('name=systemd');
  });
  const found = named ?? words.find(([, , type]) => type === 'cgroup2');
  if (found?.[1] === undefined) throw new Error('no cgroups are mounted');
  return found[1];
}

/** The files by which a process joins the groups of another one, separated by commas. */
export async function procsFiles(pid: number): Promise<string> {
  const mounts = (await readFile('/proc/self/mounts', 'latin1')).split('\n');
  const lines = await readFile(`/proc/${pid}/cgroup`, 'latin1');
  const hierarchies = [
    { mount: /^\S+ (\S+) cgroup \S*\bname=systemd\b/, group: /^\d+:name=systemd:(.*)$/m },
    { mount: /^\S+ (\S+) cgroup2 /, group: /^0::(.*)$/m },
  ];
  const files = hierarchies.flatMap(({ mount, group }) => {
    const mounted = mounts.map((line) => mount.exec(line)?.[1]).find(Boolean);
    const path = group.exec(lines)?.[1];
    return mounted === undefined || path === undefined ? [] : [join(mounted, path, 'cgroup.procs')];
  });
  return files.join(',');
}
