import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KillRequests } from '../../../../../../src/modules/docker/engine/events/kill-requests.ts';

const test = suite('signals that containers were sent');
const event = { id: 'c1', isOurs: true, names: ['sensor'], isRemoval: false };

/** Whether the container ended because of these signals. */
function ended(signals: readonly (number | undefined)[], exitCode = 1, stopSignal?: string) {
  const kills = new KillRequests();
  for (const signal of signals) {
    kills.note({ ...event, request: 'end', ...(signal !== undefined && { signal }) });
  }
  return kills.ended({ id: 'c1', exitCode, stopSignal });
}

test('end it when they are those of stop or kill, whatever its exit code', () => {
  for (const signals of [[15], [9], [2], [3], [15, 9], [1, 15], [undefined]]) {
    assert.ok(ended(signals), signals.join());
  }
});

test('do not end it when programs go on after them', () => {
  for (const signals of [[], [1], [10, 12], [28]]) assert.not(ended(signals), signals.join());
});

test('end it when its exit code names them', () => {
  assert.ok(ended([1], 129));
  assert.not(ended([1], 139));
});

test('end it when they are its stop signal', () => {
  for (const text of ['SIGUSR1', 'usr1', '10']) assert.ok(ended([10], 0, text), text);
  for (const text of ['SIGHUP', '', 'x', '1']) assert.not(ended([10], 0, text), text);
});

test('are those since its start, and of itself', () => {
  const kills = new KillRequests();
  const container = { id: 'c1', exitCode: 137, stopSignal: undefined };
  kills.note({ ...event, request: 'end', signal: 9 });
  assert.not(kills.ended({ ...container, id: 'c2' }));
  kills.note({ ...event, request: 'start' });
  assert.not(kills.ended(container));
  kills.note({ ...event, request: 'end', signal: 9 });
  assert.ok(kills.ended(container));
  kills.note({ ...event, isRemoval: true });
  assert.not(kills.ended(container));
});

test.run();
