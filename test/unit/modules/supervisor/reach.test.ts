import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Reach } from '../../../../src/modules/supervisor/reach.ts';

const test = suite('reach');
const minute = 60_000;

test('waits longer for an engine that stays away', () => {
  const reach = new Reach();
  const delays = Array.from({ length: 7 }, () => reach.lost(undefined));
  assert.equal(
    delays,
    [1, 2, 4, 8, 16, 30, 30].map((seconds) => seconds * 1000),
  );
  assert.is(reach.isSteady, true);
});

test('waits longer for an engine that comes and goes at once, which is no news', () => {
  const reach = new Reach();
  const delays = Array.from({ length: 7 }, () => reach.lost(10));
  assert.equal(
    delays,
    [1, 2, 4, 8, 16, 30, 30].map((seconds) => seconds * 1000),
  );
  assert.is(reach.isSteady, false);
});

test('begins again once the engine stayed for a minute', () => {
  const reach = new Reach();
  for (const heldMs of [0, undefined, minute - 1]) reach.lost(heldMs);
  assert.is(reach.isSteady, false);
  assert.is(reach.lost(minute), 1000);
  assert.is(reach.isSteady, true);
  assert.is(reach.lost(undefined), 2000);
  assert.is(reach.isSteady, true);
});

test.run();
