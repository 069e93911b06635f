import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Cleanup } from '../../../src/service/cleanup.ts';

const test = suite('clean-up');

test('runs the steps in reverse order, one after the other', async () => {
  const done: string[] = [];
  {
    await using cleanup = new Cleanup();
    const resource = { [Symbol.dispose]: () => void done.push('first') };
    assert.is(cleanup.use(resource), resource);
    cleanup.use({
      async [Symbol.asyncDispose]() {
        await Promise.resolve();
        done.push('second');
      },
    });
    cleanup.defer(() => void done.push('third'));
  }
  assert.equal(done, ['third', 'second', 'first']);
});

test('runs every step when some fail and throws all failures', async () => {
  const done: string[] = [];
  const cleanup = new Cleanup();
  cleanup.defer(() => void done.push('ran'));
  cleanup.defer(() => Promise.reject(new Error('a')));
  cleanup.defer(() => {
    throw new Error('b');
  });
  const error: unknown = await cleanup[Symbol.asyncDispose]().catch((thrown: unknown) => thrown);
  assert.instance(error, AggregateError);
  assert.equal(done, ['ran']);
});

test('throws a single failure as it is', async () => {
  const cleanup = new Cleanup();
  const failure = new Error('a');
  cleanup.defer(() => Promise.reject(failure));
  cleanup.defer(() => undefined);
  const error: unknown = await cleanup[Symbol.asyncDispose]().catch((thrown: unknown) => thrown);
  assert.is(error, failure);
});

test('runs no step twice and accepts none once it has begun', async () => {
  let runs = 0;
  const cleanup = new Cleanup();
  cleanup.defer(() => void runs++);
  await cleanup[Symbol.asyncDispose]();
  await cleanup[Symbol.asyncDispose]();
  assert.is(runs, 1);
  assert.throws(() => cleanup.defer(() => undefined));
});

test.run();
