import { Writable } from 'node:stream';
import { createLogger, type Logger, transports } from 'winston';
import { type LogRecord, type LogSink, priorities } from './log-record.ts';

/** A winston logger with syslog's levels; level and target are applied outside of it. */
export function openLogger(sink: LogSink): Logger {
  const stream = new Writable({
    objectMode: true,
    write: ({ record }: { readonly record: LogRecord }, _, next) => {
      sink(record);
      next();
    },
  });
  return createLogger({
    levels: Object.fromEntries(priorities.map((priority, number) => [priority, number])),
    level: 'debug',
    transports: [new transports.Stream({ stream })],
  });
}

/** Waits until the logger has written everything to its sink. */
export async function closeLogger(logger: Logger): Promise<void> {
  await new Promise<void>((resolve) => {
    const deadline = setTimeout(resolve, 1000);
    logger.once('finish', () => {
      clearTimeout(deadline);
      resolve();
    });
    logger.end();
  });
}
