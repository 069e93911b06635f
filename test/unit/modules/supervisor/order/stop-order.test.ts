import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ServiceError } from '../../../../../src/errors.ts';
import { stopInOrder } from '../../../../../src/modules/supervisor/order/stop-order.ts';
import { deadline } from '../../../../support/deadline.ts';
import { silentLog } from '../../../../support/log.ts';

const test = suite('stop order');

const running = (name: string, startS: number, stopTimeoutS?: number) => ({
  name,
  id: name,
  startedAt: new Date(startS * 1000),
  stopTimeoutS,
});

test('stops the module first that started last, and goes on when one cannot be stopped', async () => {
  const stopped: string[] = [];
  const stop = async (id: string, timeoutS: number | undefined): Promise<void> => {
    stopped.push(`${id} ${timeoutS}`);
    if (id === 'middle') throw new ServiceError('Unavailable', 'no');
    return Promise.resolve();
  };
  const modules = [running('first', 1), running('last', 3, 5), running('middle', 2, 300)];
  await stopInOrder(modules, { type: { stop }, log: silentLog, limitMs: 60_500 });
  assert.equal(stopped, ['last 5', 'middle 30', 'first 10']);
});

test('ends when the time is over', async () => {
  const stop = (_id: string, _timeoutS: number | undefined, signal: AbortSignal) =>
    new Promise<void>((_resolve, reject) => {
      const abort = (): void => reject(new ServiceError('Cancelled', 'late'));
      if (signal.aborted) abort();
      else signal.addEventListener('abort', abort);
    });
  const modules = [running('one', 1), running('two', 2)];
  const all = stopInOrder(modules, { type: { stop }, log: silentLog, limitMs: 20 });
  await deadline(10_000, all, 'the end');
});

test.run();
