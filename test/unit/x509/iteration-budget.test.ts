import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { IterationBudget } from '../../../src/x509/pkcs12/iterations.ts';

const test = suite('the iterations for the keys of one file');

test('are limited together, each counted for every digest of a key', () => {
  const budget = new IterationBudget();
  budget.take(4_000_000, 2);
  budget.take(2_000_000);
  assert.throws(() => budget.take(1), /more than 10000000 iterations/);
});

test('are at least one', () => {
  assert.throws(() => new IterationBudget().take(0), /malformed/);
});

test.run();
