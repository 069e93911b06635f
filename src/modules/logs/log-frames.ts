import type { LogEntry, ModuleLog } from '../supervisor/module-type.ts';
import type { LogTextOptions } from './log-text.ts';

const streamNumbers = { stdout: 1, stderr: 2 } as const;

/** A log as Docker sends it: entries behind headers of 8 bytes with the number of the stream and the length; of a terminal, only the entries. */
export async function* logFrames(
  { entries, isTerminal }: ModuleLog,
  { timestamps }: LogTextOptions,
): AsyncGenerator<Buffer> {
  for await (const batch of entries) {
    const parts = batch.flatMap((entry) => {
      const time = timestamps && entry.time !== '' ? Buffer.from(`${entry.time} `) : none;
      const length = time.length + entry.text.length;
      return isTerminal ? [time, entry.text] : [header(entry.stream, length), time, entry.text];
    });
    yield Buffer.concat(parts);
  }
}

const none = Buffer.alloc(0);

function header(stream: LogEntry['stream'], length: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt8(streamNumbers[stream]);
  bytes.writeUInt32BE(length, 4);
  return bytes;
}
