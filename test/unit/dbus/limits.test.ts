import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CallCounter } from '../../../src/dbus/limits.ts';
import { isServiceError } from '../../../src/errors.ts';

const test = suite('dbus limits');

function refused(action: () => void): boolean {
  try {
    action();
  } catch (error) {
    assert.ok(isServiceError(error, 'LimitsExceeded'));
    return true;
  }
  return false;
}

test('bounds the calls and the bytes of one uid, without touching others', () => {
  const counter = new CallCounter({ callsPerUid: 2, bytesPerUid: 100, calls: 10 });
  counter.enter(1000, 10);
  counter.enter(1000, 10);
  assert.is(
    refused(() => counter.enter(1000, 1)),
    true,
  );
  assert.is(
    refused(() => counter.enter(1001, 101)),
    true,
  );
  assert.is(
    refused(() => counter.enter(1001, 100)),
    false,
  );
  counter.leave(1000, 10);
  assert.is(
    refused(() => counter.enter(1000, 1)),
    false,
  );
  assert.is(counter.calls, 3);
});

test('keeps room for root when everybody else has used theirs up', () => {
  const counter = new CallCounter({ callsPerUid: 2, bytesPerUid: 100, calls: 3 });
  for (const uid of [1, 1, 2]) counter.enter(uid, 1);
  assert.is(
    refused(() => counter.enter(3, 1)),
    true,
  );
  assert.is(
    refused(() => counter.enter(0, 1)),
    false,
  );
  counter.leave(0, 1);
  assert.is(
    refused(() => counter.enter(3, 1)),
    true,
  );
});

test('forgets a uid that has nothing under way', () => {
  const counter = new CallCounter({ callsPerUid: 1, bytesPerUid: 10, calls: 1 });
  for (let uid = 1; uid < 1000; uid++) {
    counter.enter(uid, 10);
    counter.leave(uid, 10);
  }
  counter.leave(1, 10);
  assert.is(counter.calls, 0);
});

test.run();
