import type { ChildProcess } from 'node:child_process';
import { createWriteStream } from 'node:fs';

/** Appends all that a process prints to a file. */
export function logOutput(child: ChildProcess, file: string): void {
  const log = createWriteStream(file, { flags: 'a' });
  // one of the two ends before the other
  child.stdout?.pipe(log, { end: false });
  child.stderr?.pipe(log, { end: false });
  child.once('close', () => log.end());
}
