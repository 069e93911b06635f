import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { serviceEnvironment } from '../support/rig/rig-services.ts';

const run = promisify(execFile);

/** Floors start as services do: Node itself is slower, and larger, where NODE_EXTRA_CA_CERTS is set. */
const env = serviceEnvironment;

/** A process with the environment of a service that is killed by the disposal. */
export function background(command: string, args: readonly string[]): ChildProcess & Disposable {
  const child = spawn(command, args, { env, stdio: ['ignore', 'ignore', 'inherit'] });
  return Object.assign(child, { [Symbol.dispose]: () => void child.kill('SIGKILL') });
}

/** Milliseconds from the start of a program, with the environment of a service, to its end. */
export async function lifetimeMs(command: string, args: readonly string[]): Promise<number> {
  const startedAt = performance.now();
  await run(command, args, { env, timeout: 60_000 });
  return performance.now() - startedAt;
}

/** A process and its descendants; see proc(5), children. */
async function treeOf(pid: number): Promise<readonly number[]> {
  const threads = await readdir(`/proc/${pid}/task`);
  const lists = await Promise.all(
    threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/children`, 'latin1')),
  );
  const children = lists.flatMap((list) => list.split(' ').filter(Boolean).map(Number));
  return [pid, ...(await Promise.all(children.map(treeOf))).flat()];
}

/** Microseconds of CPU, user and system, that a process and its descendants have used; see proc(5), schedstat. */
export async function cpuMicroseconds(pid: number): Promise<number> {
  let nanoseconds = 0;
  for (const each of await treeOf(pid)) {
    for (const thread of await readdir(`/proc/${each}/task`)) {
      const [used] = (await readFile(`/proc/${each}/task/${thread}/schedstat`, 'latin1')).split(
        ' ',
      );
      nanoseconds += Number(used);
    }
  }
  return nanoseconds / 1000;
}

/** The resident memory of a process, in MiB. */
export function rss(pid: number): Promise<number> {
  return statusMiB(pid, 'VmRSS');
}

/** The peak of the resident memory since the last reset, in MiB. */
export function peakRss(pid: number): Promise<number> {
  return statusMiB(pid, 'VmHWM');
}

/** Resets the peak of the resident memory; see proc(5), clear_refs. */
export function resetPeakRss(pid: number): Promise<void> {
  return writeFile(`/proc/${pid}/clear_refs`, '5');
}

async function statusMiB(pid: number, field: string): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'latin1');
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? Number.NaN) / 1024;
}

/** Memory in MiB: the part that other processes do not share, and the proportional share of everything. */
export interface Memory {
  readonly own: number;
  readonly share: number;
}

/** The memory of a process and of its descendants. */
export async function memoryMiB(pid: number): Promise<Memory> {
  const sum = { own: 0, share: 0 };
  for (const each of await treeOf(pid)) {
    const rollup = await readFile(`/proc/${each}/smaps_rollup`, 'latin1');
    const of = (field: string): number =>
      Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(rollup)?.[1] ?? Number.NaN) / 1024;
    sum.own += of('Private_Dirty');
    sum.share += of('Pss');
  }
  return sum;
}
