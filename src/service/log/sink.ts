import type { LogRecord, LogSink, RecordWriter } from './log-record.ts';

const retry = { firstMs: 100, maxMs: 1000 };

/**
 * Writes each record by the first writer that accepts it. Records that none accepts are counted, and their count is
 * logged as soon as one accepts records again.
 */
export function sinkOf(writers: readonly RecordWriter[]): LogSink {
  let dropped = 0;
  let delayMs = retry.firstMs;
  let timer: NodeJS.Timeout | undefined;
  const write = (record: LogRecord): boolean => writers.some((writer) => writer(record));
  const report = (): boolean => {
    const fields = { count: dropped };
    if (!write({ priority: 'warning', message: 'records were dropped', fields })) return false;
    dropped = 0;
    delayMs = retry.firstMs;
    return true;
  };
  const reportLater = (): void => {
    timer ??= setTimeout(() => {
      timer = undefined;
      delayMs = Math.min(2 * delayMs, retry.maxMs);
      if (!report()) reportLater();
    }, delayMs).unref();
  };
  return (record) => {
    // between two attempts none is made: a report that fits where records do not would fill the rest of the buffer
    if (dropped === 0 && write(record)) return;
    dropped++;
    reportLater();
  };
}
