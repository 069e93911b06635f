import { readFileSync } from 'node:fs';
import { until } from './deadline.ts';

/** Stops a process as SIGSTOP does; resolves when it stands still, so that what it is sent from then on waits. */
export async function standStill(pid: number): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  const stopped = (): boolean => readFileSync(`/proc/${pid}/status`, 'utf8').includes('State:\tT');
  await until(10_000, `process ${pid} to stand still`, stopped);
}
