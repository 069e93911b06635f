import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RequestQueue } from '../../../../../src/modules/api/http/request-queue.ts';

const test = suite('request queue');

test('runs up to the limit of tasks at once, and the others in order', async () => {
  const queue = new RequestQueue(2);
  const order: number[] = [];
  const finish: (() => void)[] = [];
  const task = (index: number) => () => {
    order.push(index);
    return new Promise<number>((resolve) => finish.push(() => resolve(index)));
  };
  const all = [0, 1, 2, 3].map((index) => queue.run(task(index)));
  await sleep(1);
  assert.equal(order, [0, 1]);
  for (let next = finish.shift(); next !== undefined; next = finish.shift()) {
    next();
    await sleep(1);
  }
  assert.equal(await Promise.all(all), [0, 1, 2, 3]);
  assert.equal(order, [0, 1, 2, 3]);
});

test('runs the next task when one fails', async () => {
  const queue = new RequestQueue(1);
  const failing = queue.run(() => Promise.reject(new Error('no')));
  const next = queue.run(() => Promise.resolve('yes'));
  assert.is(await failing.catch(() => 'failed'), 'failed');
  assert.is(await next, 'yes');
});

test('gives the slot of a waiting task to another one', async () => {
  const queue = new RequestQueue(1);
  const order: string[] = [];
  const waiting = queue.run(async () => {
    await queue.pause(async () => {
      order.push('waits');
      await sleep(20);
    });
    order.push('goes on');
  });
  const other = queue.run(async () => {
    order.push('another begins');
    await sleep(60);
    order.push('another ends');
  });
  await Promise.all([waiting, other]);
  assert.equal(order, ['waits', 'another begins', 'another ends', 'goes on']);
});

test.run();
