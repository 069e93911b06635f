import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Pacer } from '../../../src/modules/pacer.ts';
import { until } from '../../support/deadline.ts';

const test = suite('pacer');

test('runs at once, and once more for all triggers meanwhile', async () => {
  const acted: string[] = [];
  using pacer = new Pacer((name) => acted.push(name), 20);
  for (let count = 0; count < 1000; count++) pacer.call('a');
  pacer.call('b');
  assert.equal(acted, ['a', 'b']);
  await until(10_000, 'the second time', () => acted.length > 2);
  assert.equal(acted, ['a', 'b', 'a']);
});

test('does not run after it is disposed of', async () => {
  const acted: string[] = [];
  const pacer = new Pacer((name) => acted.push(name), 1);
  pacer.call('a');
  pacer.call('a');
  pacer[Symbol.dispose]();
  await new Promise((resolve) => void setTimeout(resolve, 50));
  assert.equal(acted, ['a']);
});

test.run();
