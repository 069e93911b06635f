import type { Log } from '../../src/service/log/log.ts';
import type { Fields } from '../../src/service/log/log-record.ts';

export interface LogLine {
  readonly level: 'error' | 'warn' | 'info' | 'debug';
  readonly message: string;
  readonly fields: Fields;
}

/** A log that passes every record on. */
export function recordingLog(record: (line: LogLine) => void): Log {
  const at =
    (level: LogLine['level']) =>
    (message: string, fields: Fields = {}): void =>
      record({ level, message, fields });
  return { error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug') };
}

/** A log that writes nothing. */
export const silentLog: Log = recordingLog(() => undefined);
