import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The C client compiled into a directory; its path. */
export async function compileClient(directory: string, sources: string): Promise<string> {
  const client = join(directory, 'client');
  await run('cc', ['-O2', '-o', client, join(sources, 'client.c'), '-lsystemd']);
  return client;
}

/** Calls per second that the C client counts. */
export async function callRate(client: string, args: readonly string[]): Promise<number> {
  const { stdout } = await run(client, args, { timeout: 60_000 });
  return Number(stdout);
}

/** A process that is ended when disposed of. */
export function background(command: string, args: readonly string[]): ChildProcess & Disposable {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  return Object.assign(child, { [Symbol.dispose]: () => void child.kill('SIGKILL') });
}

/** CPU seconds, user and system, that a process has used. */
export async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticksPerSecond = 100;
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/** Proportional share of memory of a process, in MiB. */
export async function proportionalMiB(pid: number): Promise<number> {
  const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'latin1');
  return Number(/^Pss:\s+(\d+) kB/m.exec(rollup)?.[1] ?? 0) / 1024;
}

/** The middle value. */
export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
