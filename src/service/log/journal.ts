import { fstatSync, writeSync } from 'node:fs';
import { type LogSink, priorities, toJournalFields, toLine } from './log-record.ts';

/** Sends one record to systemd's journal; false when the journal did not take it. */
export type JournalSend = (fields: Iterable<readonly [string, string]>) => boolean;

/** Lines on standard error, `<6>certificate renewed certificateId=device-id`: systemd reads the number off. */
export const consoleSink: LogSink = (record) => {
  const line = `<${priorities.indexOf(record.priority)}>${toLine(record)}\n`;
  try {
    writeSync(2, line);
  } catch {
    // a log that cannot be written must not end the service
  }
};

/** Structured records in the journal; on standard error when the journal does not take one. */
export function journalSink(send: JournalSend, identifier: string): LogSink {
  return (record) => {
    if (!send(toJournalFields(record, identifier))) consoleSink(record);
  };
}

/** Whether standard error goes to the journal: systemd tells the stream, which may have been replaced since. */
export function isJournalStream(stream: string | undefined): boolean {
  if (stream === undefined) return false;
  const { dev, ino } = fstatSync(2);
  return stream === `${dev}:${ino}`;
}
