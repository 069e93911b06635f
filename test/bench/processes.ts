import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A process that is killed by the disposal. */
export function background(command: string, args: readonly string[]): ChildProcess & Disposable {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  return Object.assign(child, { [Symbol.dispose]: () => void child.kill('SIGKILL') });
}

/** Milliseconds from the start of a program to its end. */
export async function lifetimeMs(command: string, args: readonly string[]): Promise<number> {
  const startedAt = performance.now();
  await run(command, args, { timeout: 60_000 });
  return performance.now() - startedAt;
}

/** Microseconds of CPU, user and system, that the threads of a process have used; see proc(5), schedstat. */
export async function cpuMicroseconds(pid: number): Promise<number> {
  const threads = `/proc/${pid}/task`;
  let nanoseconds = 0;
  for (const thread of await readdir(threads)) {
    const [used] = (await readFile(`${threads}/${thread}/schedstat`, 'latin1')).split(' ');
    nanoseconds += Number(used);
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

/** The memory of a process, in MiB: its proportional share, and its private part. */
export async function memoryMiB(
  pid: number,
): Promise<{ readonly share: number; readonly own: number }> {
  const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'latin1');
  const of = (field: string): number =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(rollup)?.[1] ?? Number.NaN) / 1024;
  return { share: of('Pss'), own: of('Private_Dirty') };
}
