import { fstatSync, writeSync } from 'node:fs';
import { type LogSink, priorities, toJournalFields, toLine } from './log-record.ts';

/** Sends one record to systemd's journal; returns false when the journal did not accept it. */
export type JournalSend = (fields: Iterable<readonly [string, string]>) => boolean;

/** Lines on standard error, `<6>certificate renewed certificateId=device-id`: systemd parses the priority. */
export const consoleSink: LogSink = (record) => {
  const line = `<${priorities.indexOf(record.priority)}>${toLine(record)}\n`;
  try {
    writeSync(2, line);
  } catch {
    // a log that cannot be written must not end the service
  }
};

/** Structured records in the journal; on standard error when the journal does not accept one. */
export function journalSink(send: JournalSend, identifier: string): LogSink {
  return (record) => {
    if (!send(toJournalFields(record, identifier))) consoleSink(record);
  };
}

/**
 * Whether standard error goes to the journal: systemd passes the stream's id, but the stream may have been replaced
 * since.
 */
export function isJournalStream(stream: string | undefined): boolean {
  if (stream === undefined) return false;
  const { dev, ino } = fstatSync(2);
  return stream === `${dev}:${ino}`;
}
