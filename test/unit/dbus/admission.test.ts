import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Admission } from '../../../src/dbus/admission.ts';
import { type CallLimits, defaultCallLimits } from '../../../src/dbus/call-limits.ts';
import type { Callers } from '../../../src/dbus/caller.ts';
import { IncomingMessage } from '../../../src/dbus/message.ts';
import { callWith } from '../../support/messages.ts';

const test = suite('dbus admission');

/** A bus that never reports who anybody is, as far as admission asks it. */
const silent = {
  known: () => undefined,
  get: () => new Promise(() => undefined),
  onVanish: () => undefined,
} as unknown as Callers; // its constructor is private

function open(unidentified: CallLimits['unidentified']) {
  const refused: IncomingMessage[] = [];
  const admission = new Admission(
    silent,
    { ...defaultCallLimits, unidentified },
    {
      admitted: () => undefined,
      refused: (message) => refused.push(message),
      lost: () => undefined,
      activity: () => undefined,
      expectedReplyBytes: () => 0,
      isTrusted: () => false,
    },
  );
  let senders = 0;
  /** Admits the first call of a connection, and returns whether it was accepted. */
  const first = (bytes: number): boolean => {
    const before = refused.length;
    const { header } = callWith('ay', [Buffer.alloc(bytes)]);
    const sender = `:1.${++senders}`;
    admission.admit(new IncomingMessage({ ...header, sender }, Buffer.alloc(bytes), true));
    return refused.length === before;
  };
  return { refused, first };
}

test('accepts large first calls up to a limit for all connections, and small ones beyond it', () => {
  const { first } = open({ calls: 4, bytes: 1000, totalBytes: 10_000, reservedBytes: 1000 });
  assert.equal([first(5000), first(4000), first(5000)], [true, true, false]);
  assert.ok(first(500) && first(500), 'small ones have a reserve');
  assert.ok([1, 2, 3].map(() => first(500)).includes(false), 'which ends');
});

test('holds nothing of a first call that it refuses', () => {
  const { first, refused } = open({ calls: 4, bytes: 10, totalBytes: 100, reservedBytes: 0 });
  assert.not.ok(first(5000));
  assert.ok(refused[0]?.isSkipped);
});

test.run();
