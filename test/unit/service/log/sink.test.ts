import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { LogRecord } from '../../../../src/service/log/log-record.ts';
import { sinkOf } from '../../../../src/service/log/sink.ts';
import { until } from '../../../support/deadline.ts';

const test = suite('a sink of records');

const record = (message: string): LogRecord => ({ priority: 'info', message, fields: {} });
const textOf = ({ priority, message, fields }: LogRecord): string =>
  `${priority} ${message} ${JSON.stringify(fields)}`;

test('uses the first writer that accepts a record', () => {
  const [first, second]: [string[], string[]] = [[], []];
  const sink = sinkOf([
    ({ message }) => message !== 'two' && first.push(message) > 0,
    ({ message }) => second.push(message) > 0,
  ]);
  for (const message of ['one', 'two', 'three']) sink(record(message));
  assert.equal([first, second], [['one', 'three'], ['two']]);
});

test('reports the number of lost records when a writer accepts them again, without another record', async () => {
  const accepted: string[] = [];
  let refusals = 4; // of a record, and of three reports
  const sink = sinkOf([(each) => refusals-- <= 0 && accepted.push(textOf(each)) > 0]);
  for (const message of ['one', 'two']) sink(record(message));
  await until(10_000, 'the report', () => accepted.length > 0);
  sink(record('three'));
  assert.equal(accepted, ['warning records were dropped {"count":2}', 'info three {}']);
});

test.run();
