import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { HttpProblem } from '../../../../src/modules/api/body.ts';
import { Turns } from '../../../../src/modules/api/turns.ts';

const test = suite('turns');

test('does a few at once, the others in the order they came, and refuses what is too much', async () => {
  const turns = new Turns(2, 2);
  const begun: number[] = [];
  const ends: (() => void)[] = [];
  const take = (number: number) =>
    turns.take(async () => {
      begun.push(number);
      await new Promise<void>((resolve) => {
        ends.push(resolve);
      });
      return number;
    });
  const taken = [1, 2, 3, 4].map(take);
  const refused = await take(5).catch((error: unknown) => error);
  assert.ok(refused instanceof HttpProblem && refused.status === 503);
  assert.equal(begun, [1, 2]);
  for (let done = 0; done < 4; done++) {
    ends[done]?.();
    assert.is(await taken[done], done + 1);
  }
  assert.equal(begun, [1, 2, 3, 4]);
});

test('goes on after a failure', async () => {
  const turns = new Turns(1, 0);
  const failing = turns.take(() => Promise.reject(new Error('broken')));
  assert.is(await failing.catch((error: Error) => error.message), 'broken');
  assert.is(await turns.take(() => Promise.resolve('next')), 'next');
});

test.run();
