/**
 * The log of a process. winston costs more to load than the rest of a service, so records are buffered until it
 * is loaded, which is after the replies to the first calls; a process that exits before writes them directly.
 */
import type { Logger } from 'winston';
import type { LogControl } from '../../dbus/server/log-control.ts';
import { ServiceError } from '../../errors.ts';
import {
  type Fields,
  type LogRecord,
  type LogSink,
  type Priority,
  priorities,
} from './log-record.ts';

/** The log of a service. Messages are constant and lower-case, data goes into the fields. */
export interface Log {
  /** An administrator must act. */
  error(message: string, fields?: Fields): void;
  /** A failure that will be retried. */
  warn(message: string, fields?: Fields): void;
  /** A change of state. */
  info(message: string, fields?: Fields): void;
  debug(message: string, fields?: Fields): void;
  readonly writesDebug?: boolean;
}

/** The sinks by their names in LogControl1. */
export interface LogSinks {
  readonly console: LogSink;
  readonly journal: LogSink;
}

/** Initial settings of a log; LogControl1 can change level and target later. */
export interface LogOptions {
  /** `iotedge-keys`. */
  readonly identifier: string;
  readonly level: Priority;
  readonly target: 'console' | 'journal';
  readonly sinks: LogSinks;
}

const maxBuffered = 1000;

/** The log of a process, controlled by `systemctl service-log-level`. */
export class ServiceLog implements Log, LogControl, AsyncDisposable {
  readonly syslogIdentifier: string;
  /** Whether debug records are written: callers skip costly fields when they are not. */
  writesDebug: boolean;
  readonly #sinks: LogSinks;
  readonly #buffer: LogRecord[] = [];
  #logger: Logger | undefined;
  #level: Priority;
  #threshold: number;
  #target: 'console' | 'journal';
  #dropped = 0;
  #closed = false;

  constructor({ identifier, level, target, sinks }: LogOptions) {
    this.syslogIdentifier = identifier;
    this.#sinks = sinks;
    this.#target = target;
    this.#level = level;
    this.writesDebug = level === 'debug';
    this.#threshold = priorities.indexOf(level);
  }

  get level(): string {
    return this.#level;
  }

  set level(value: string) {
    const level = priorities.find((priority) => priority === value);
    if (level === undefined) {
      throw new ServiceError('InvalidArgs', `the log level is one of ${priorities.join(', ')}`);
    }
    this.#level = level;
    this.writesDebug = level === 'debug';
    this.#threshold = priorities.indexOf(level);
  }

  get target(): string {
    return this.#target;
  }

  set target(value: string) {
    if (value !== 'console' && value !== 'journal') {
      throw new ServiceError('InvalidArgs', 'the log target is console or journal');
    }
    this.#target = value;
  }

  error(message: string, fields?: Fields): void {
    this.#log('err', message, fields);
  }

  warn(message: string, fields?: Fields): void {
    this.#log('warning', message, fields);
  }

  info(message: string, fields?: Fields): void {
    this.#log('info', message, fields);
  }

  debug(message: string, fields?: Fields): void {
    this.#log('debug', message, fields);
  }

  /** Loads winston and passes it the buffered records. */
  async open(): Promise<void> {
    const { openLogger } = await import('./winston-logger.ts');
    if (this.#logger !== undefined || this.#closed) return;
    this.#logger = openLogger((record) => this.#write(record));
    for (const record of this.#buffer.splice(0)) this.#pass(record);
  }

  /** Writes the buffered records. */
  flush(): void {
    if (this.#dropped > 0) {
      const fields = { count: this.#dropped };
      this.#dropped = 0;
      this.#write({ priority: 'warning', message: 'records were dropped', fields });
    }
    for (const record of this.#buffer.splice(0)) this.#write(record);
  }

  /** Writes everything; later records are written directly. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.flush();
    const logger = this.#logger;
    this.#logger = undefined;
    if (logger === undefined) return;
    const { closeLogger } = await import('./winston-logger.ts');
    await closeLogger(logger);
  }

  #log(priority: Priority, message: string, fields: Fields = {}): void {
    if (priorities.indexOf(priority) > this.#threshold) return;
    this.#pass({ priority, message, fields });
  }

  #pass(record: LogRecord): void {
    if (this.#logger !== undefined) {
      this.#logger.log(record.priority, record.message, { record });
      return;
    }
    if (this.#closed) this.#write(record);
    else if (this.#buffer.length < maxBuffered) this.#buffer.push(record);
    else this.#dropped++;
  }

  #write(record: LogRecord): void {
    this.#sinks[this.#target](record);
  }
}

/** The syslog priority of a `log_level` of the configuration. */
export function priorityOf(level: 'error' | 'warn' | 'info' | 'debug'): Priority {
  if (level === 'error') return 'err';
  return level === 'warn' ? 'warning' : level;
}
