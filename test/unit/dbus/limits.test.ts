import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CallCounter, defaultCallLimits } from '../../../src/dbus/limits.ts';
import { isServiceError } from '../../../src/errors.ts';

const test = suite('dbus limits');
const limits = { root: { calls: 4, bytes: 200 } };

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
  const counter = new CallCounter({ ...limits, perUid: { calls: 2, bytes: 100 }, calls: 10 });
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
  const counter = new CallCounter({ ...limits, perUid: { calls: 2, bytes: 100 }, calls: 3 });
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

test('lets root have more under way than others, and no more than its own', () => {
  const counter = new CallCounter(defaultCallLimits);
  const most = (uid: number) => {
    for (let calls = 0; ; calls++) if (refused(() => counter.enter(uid, 1))) return calls;
  };
  assert.is(most(1000), 64);
  assert.is(most(0), 128);
  const bytes = new CallCounter(defaultCallLimits);
  assert.ok(refused(() => bytes.enter(1000, (64 << 20) + 1)));
  assert.not.ok(refused(() => bytes.enter(0, (64 << 20) + 1)));
  assert.ok(refused(() => bytes.enter(0, 64 << 20)));
});

test('forgets a uid that has nothing under way', () => {
  const counter = new CallCounter({ ...limits, perUid: { calls: 1, bytes: 10 }, calls: 1 });
  for (let uid = 1; uid < 1000; uid++) {
    counter.enter(uid, 10);
    counter.leave(uid, 10);
  }
  counter.leave(1, 10);
  assert.is(counter.calls, 0);
});

test.run();
