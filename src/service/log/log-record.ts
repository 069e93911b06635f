import { withoutSecrets } from '../../quoted.ts';

/** Fields of a record besides its message. Never a secret. */
export type Fields = Readonly<
  Record<string, string | number | boolean | bigint | undefined | readonly string[]>
>;

/** Priorities as syslog numbers and names them; a lower one is more important. */
export const priorities = [
  'emerg',
  'alert',
  'crit',
  'err',
  'warning',
  'notice',
  'info',
  'debug',
] as const;

/** The name of a priority. */
export type Priority = (typeof priorities)[number];

/** One record. */
export interface LogRecord {
  readonly priority: Priority;
  /** Constant, so that all records of one kind can be found by it. */
  readonly message: string;
  readonly fields: Fields;
}

/** Writes a record to its destination, never waits; returns false when that does not accept the record now. */
export type RecordWriter = (record: LogRecord) => boolean;

/** Writes a record, or counts it as dropped. */
export type LogSink = (record: LogRecord) => void;

const maxValueLength = 4096;

/**
 * The record as one line: `certificate renewed certificateId=device-id`. Anything that looks like a secret is removed.
 */
export function toLine({ message, fields }: LogRecord): string {
  const parts = texts(fields).map(([name, text]) => `${name}=${quoted(text)}`);
  return [withoutSecrets(message).replace(/[\r\n]+/g, ' '), ...parts].join(' ');
}

/** The record as fields of the journal: `certificateId` becomes IOTEDGE_CERTIFICATE_ID. */
export function toJournalFields(record: LogRecord, identifier: string): [string, string][] {
  return [
    ['MESSAGE', toLine(record)],
    ['PRIORITY', String(priorities.indexOf(record.priority))],
    ['SYSLOG_IDENTIFIER', identifier],
    ['IOTEDGE_EVENT', withoutSecrets(record.message)],
    ...texts(record.fields).map(([name, text]): [string, string] => [journalName(name), text]),
  ];
}

function texts(fields: Fields): readonly (readonly [string, string])[] {
  return Object.entries(fields).flatMap(([name, value]) => {
    if (value === undefined) return [];
    const items = typeof value === 'object' ? value : [String(value)];
    const text = items.map((item) => withoutSecrets(item)).join(',');
    return [[name, text.length > maxValueLength ? `${text.slice(0, maxValueLength)}…` : text]];
  });
}

function quoted(text: string): string {
  return /^[\x21\x23-\x3c\x3e-\x5b\x5d-\x7e]+$/.test(text) ? text : JSON.stringify(text);
}

function journalName(name: string): string {
  if (name === 'messageId') return 'MESSAGE_ID'; // systemd.journal-fields(7)
  const words = name.replace(/([a-z0-9])([A-Z])/g, '$1_$2').replace(/[^A-Za-z0-9]+/g, '_');
  return `IOTEDGE_${words.toUpperCase()}`.slice(0, 64);
}
