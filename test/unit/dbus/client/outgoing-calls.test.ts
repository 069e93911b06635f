import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { OutgoingCalls } from '../../../../src/dbus/client/outgoing-calls.ts';

const test = suite('outgoing calls');

/** Calls of one connection, and the serials of those that were sent. */
function open() {
  const calls = new OutgoingCalls();
  const sent: number[] = [];
  let serial = 0;
  const start = (destination: string, count: number): void => {
    for (let made = 0; made < count; made++) {
      const own = ++serial;
      calls.start(own, { destination, send: () => void sent.push(own) });
    }
  };
  return { calls, sent, start };
}

test('have a limit of fifty pending to one peer and a hundred in all', () => {
  const { calls, sent, start } = open();
  start('a', 51);
  assert.is(sent.length, 50);
  start('b', 49);
  start('c', 2);
  assert.is(sent.length, 100);
  assert.is(sent.at(-1), 101, 'the first one to another peer');
  calls.replied(1);
  assert.equal(sent.slice(100), [51], 'who came first');
  calls.replied(1);
  calls.replied(9999);
  assert.is(sent.length, 101, 'one answer makes room for one call');
  calls.replied(2);
  assert.equal(sent.slice(101), [102]);
});

test('are never sent when they were cancelled before', () => {
  const { calls, sent, start } = open();
  start('a', 53);
  calls.abandon(51);
  calls.replied(1);
  assert.equal(sent.slice(50), [52]);
});

test('count after they were cancelled until the reply comes: the bus counts them, too', () => {
  const { calls, sent, start } = open();
  start('a', 51);
  for (let serial = 1; serial <= 50; serial++) calls.abandon(serial);
  start('a', 1);
  assert.is(sent.length, 50);
  calls.replied(50);
  assert.equal(sent.slice(50), [51]);
});

test.run();
