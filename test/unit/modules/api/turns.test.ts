import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Turns } from '../../../../src/modules/api/turns.ts';

const test = suite('turns');

test('does so many things at once, and the others in order', async () => {
  const turns = new Turns(2);
  const order: number[] = [];
  const finish: (() => void)[] = [];
  const task = (index: number) => () => {
    order.push(index);
    return new Promise<number>((resolve) => finish.push(() => resolve(index)));
  };
  const all = [0, 1, 2, 3].map((index) => turns.take(task(index)));
  await sleep(1);
  assert.equal(order, [0, 1]);
  for (let next = finish.shift(); next !== undefined; next = finish.shift()) {
    next();
    await sleep(1);
  }
  assert.equal(await Promise.all(all), [0, 1, 2, 3]);
  assert.equal(order, [0, 1, 2, 3]);
});

test('passes the turn on when a task fails', async () => {
  const turns = new Turns(1);
  const failing = turns.take(() => Promise.reject(new Error('no')));
  const next = turns.take(() => Promise.resolve('yes'));
  assert.is(await failing.catch(() => 'failed'), 'failed');
  assert.is(await next, 'yes');
});

test('lets others have the turn of who waits, and waits for one again', async () => {
  const turns = new Turns(1);
  const order: string[] = [];
  const waiting = turns.take(async () => {
    await turns.pause(async () => {
      order.push('waits');
      await sleep(20);
    });
    order.push('goes on');
  });
  const other = turns.take(async () => {
    order.push('another begins');
    await sleep(60);
    order.push('another ends');
  });
  await Promise.all([waiting, other]);
  assert.equal(order, ['waits', 'another begins', 'another ends', 'goes on']);
});

test.run();
