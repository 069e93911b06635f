import { readFile } from 'node:fs/promises';

/** Whether a process has not ended; a zombie has. */
export async function isRunning(pid: number): Promise<boolean> {
  try {
    return !/\) [ZX] /.test(await readFile(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
