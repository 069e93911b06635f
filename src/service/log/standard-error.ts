import { writeSync } from 'node:fs';
import { priorities, type RecordWriter, toLine } from './log-record.ts';

/**
 * Writes lines to standard error, `<6>certificate renewed certificateId=device-id`: systemd parses the priority. Never
 * waits for the reader of a socket or pipe. systemd passes a blocking socket: a journal that does not read would stop
 * the event loop once its buffer is full.
 */
export function standardErrorWriter(): RecordWriter {
  let isOpen = false;
  /** The end of a line that was written in part. */
  let rest: Buffer = Buffer.alloc(0);
  const write = (bytes: Buffer): boolean => {
    try {
      rest = bytes.subarray(writeSync(2, bytes));
      return true;
    } catch {
      return false; // full, or without a reader: a log that cannot be written must not end the service
    }
  };
  return (record) => {
    if (!isOpen) openNonBlocking();
    isOpen = true;
    if (rest.length > 0 && (!write(rest) || rest.length > 0)) return false;
    return write(Buffer.from(`<${priorities.indexOf(record.priority)}>${toLine(record)}\n`));
  };
}

/** Node sets O_NONBLOCK on a socket or pipe when it creates the stream of standard error, which this getter does. */
function openNonBlocking(): void {
  void process.stderr;
}
