import type { Writable } from 'node:stream';
import type { LogOutput } from './log-output.ts';

/** Writes a log as it comes, no faster than it is read; ends with false when its reader has gone. */
export async function writeLog(
  pieces: AsyncIterable<Buffer> | Iterable<Buffer>,
  output: LogOutput,
  stream: Writable,
): Promise<boolean> {
  for await (const piece of pieces) {
    if (!(await written(stream, output.piece(piece)))) return false;
  }
  return written(stream, output.end());
}

/** Whether a reader has taken it; a failure to write is reported at the end of the command. */
function written(stream: Writable, text: Buffer | string): Promise<boolean> {
  if (text.length === 0) return Promise.resolve(true);
  return new Promise((resolve) => {
    stream.write(text, (error) => resolve(error === null || error === undefined));
  });
}
