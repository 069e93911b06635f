import { readFileSync } from 'node:fs';
import { until } from './deadline.ts';

/** Suspends a process by SIGSTOP; resolves when it is stopped, so that everything sent to it afterwards waits. */
export async function suspendProcess(pid: number): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  const stopped = (): boolean => readFileSync(`/proc/${pid}/status`, 'utf8').includes('State:\tT');
  await until(10_000, `process ${pid} to be suspended`, stopped);
}
