import { fstatSync } from 'node:fs';
import { type LogRecord, type RecordWriter, toJournalFields } from './log-record.ts';

/** Sends one record to systemd's journal, never waits; returns false when the journal did not accept it. */
export type JournalSend = (fields: Iterable<readonly [string, string]>) => boolean;

/** Writes structured records to the journal. */
export function journalWriter(send: JournalSend, identifier: string): RecordWriter {
  return (record: LogRecord) => send(toJournalFields(record, identifier));
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
