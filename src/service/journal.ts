import { writeSync } from 'node:fs';
import type { LogSink } from './log.ts';
import { priorities, toJournalFields, toLine } from './log-record.ts';

/** Sends one record to systemd's journal. */
export type JournalSend = (fields: [string, string][]) => void;

/** Lines on standard error, `<6>certificate renewed certificateId=device-id`: systemd reads the number off. */
export const consoleSink: LogSink = (record) => {
  const line = `<${priorities.indexOf(record.priority)}>${toLine(record)}\n`;
  try {
    writeSync(2, line);
  } catch {
    // Nobody reads it; a log that cannot be written must not end the service.
  }
};

/** Structured records in the journal; on standard error when the journal does not take one. */
export function journalSink(send: JournalSend, identifier: string): LogSink {
  return (record) => {
    try {
      send(toJournalFields(record, identifier));
    } catch {
      consoleSink(record);
    }
  };
}
