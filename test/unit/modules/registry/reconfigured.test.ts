import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { sourceDigest } from '../../../../src/modules/module-source.ts';
import { reconfigured } from '../../../../src/modules/registry/reconfigured.ts';
import type { SavedState, SavedUpdate } from '../../../../src/modules/supervisor/desired-state.ts';
import { moduleSource } from '../../../support/engine/module-source.ts';

const test = suite('the agent of a changed modules.yaml');
const first = moduleSource('edgeAgent', 'a:1');
const other = moduleSource('edgeAgent', 'b:1');
const own = { ...moduleSource('edgeAgent', 'a:2'), base: sourceDigest(first) };
const update: SavedUpdate = {
  phase: 'trial',
  other: first,
  digest: 'd',
  previous: 'started',
  oldId: 'c1',
};
const trial: SavedState = { goal: 'started', update };

test('keeps what it was updated to while its configuration stays the same', () => {
  const now = { source: own, state: trial };
  assert.equal(reconfigured(now, first), now);
  // it was read before the update was accepted, or before it was rolled back
  const back = { source: first, state: { goal: 'started' } as const };
  assert.is(reconfigured(back, own).source, first);
});

test('gets other credentials', () => {
  const auth = { username: 'u', password: 'p' };
  const read = { ...first, settings: { ...first.settings, auth } };
  const state: SavedState = { goal: 'started', update: { ...update, phase: 'fetch', other: own } };
  assert.equal(reconfigured({ source: first, state }, read), { source: read, state });
});

for (const phase of ['fetch', 'trial', 'done', 'rollback', 'abandon'] as const) {
  test(`is the configured one after an update in its phase ${phase}, and never an earlier one`, () => {
    const state: SavedState = { goal: 'started', update: { ...update, phase, proven: first } };
    const next = reconfigured({ source: own, state }, other);
    assert.is(next.source, other);
    assert.equal([next.state.update?.phase, next.state.update?.oldId], ['done', 'c1']);
    assert.is(next.state.update?.proven, undefined);
  });
}

test('runs as before the update', () => {
  const goalAfter = (state: SavedState) => reconfigured({ source: own, state }, other).state.goal;
  assert.is(goalAfter({ goal: 'stopped', update }), 'start');
  assert.is(goalAfter({ goal: 'start', update: { ...update, previous: 'stopped' } }), 'stopped');
  assert.is(goalAfter({ goal: 'stopped', update: { ...update, phase: 'done' } }), 'stopped');
  assert.is(goalAfter({ goal: 'stopped', resumes: true }), 'start');
});

test('keeps an operation that is not of its update', () => {
  const operation = { verb: 'Restart', previous: 'started' } as const;
  const state: SavedState = { goal: 'restart', operation };
  assert.equal(reconfigured({ source: own, state }, other).state, state);
});

test('has no update without one', () => {
  const state: SavedState = { goal: 'stopped' };
  assert.equal(reconfigured({ source: own, state }, other), { source: other, state });
});

test.run();
