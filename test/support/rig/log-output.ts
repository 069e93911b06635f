import type { ChildProcess } from 'node:child_process';
import { createWriteStream } from 'node:fs';

/** Appends the output of a process to a file. */
export function logOutput(child: ChildProcess, file: string): void {
  const log = createWriteStream(file, { flags: 'a' });
  // one of the two streams ends before the other
  child.stdout?.pipe(log, { end: false });
  child.stderr?.pipe(log, { end: false });
  child.once('close', () => log.end());
}
