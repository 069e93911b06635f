import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Bus } from '../../../../src/dbus/bus.ts';
import { reply, replyError } from '../../../../src/dbus/server/call.ts';
import { IncomingMessage } from '../../../../src/dbus/wire/inbox.ts';
import { type Message } from '../../../../src/dbus/wire/message.ts';
import { ServiceError } from '../../../../src/errors.ts';
import { callWith } from '../../../support/wire/messages.ts';

const test = suite('dbus replies');

/** The reply to a call with these flags. */
function sentBy(how: (bus: Bus, call: IncomingMessage) => number, flags = 0) {
  const sent: Message[] = [];
  const bus = { send: (message: Message) => sent.push(message) * 100 } as unknown as Bus; // its constructor is private
  const { header } = callWith('', [], flags);
  const call = new IncomingMessage({ ...header, serial: 42, sender: ':1.7' }, undefined, true);
  const bytes = how(bus, call);
  return { bytes, sent };
}

test('go to the caller, with the serial of its call', () => {
  const { bytes, sent } = sentBy((bus, call) => reply(bus, call, { signature: 's', body: ['x'] }));
  const [message] = sent;
  assert.is(bytes, 100);
  assert.equal([message?.type, message?.replySerial, message?.destination], [2, 42, ':1.7']);
  assert.equal([message?.signature, message?.body], ['s', ['x']]);
});

const failing = (error: unknown, flags = 0) =>
  sentBy((bus, call) => replyError(bus, call, error), flags);

test('report the failure, and nothing about an unexpected error', () => {
  const cases: readonly (readonly [unknown, string, string])[] = [
    [new ServiceError('NotFound', 'no key "a"'), 'org.iotedge.Error.NotFound', 'no key "a"'],
    [new ServiceError('AccessDenied', 'no'), 'org.freedesktop.DBus.Error.AccessDenied', 'no'],
    [new ServiceError('NotFound', 'a\0b'), 'org.iotedge.Error.NotFound', 'a b'],
    [new ServiceError('Failed', 'detail'), 'org.iotedge.Error.Failed', 'internal error'],
    [new TypeError('detail'), 'org.iotedge.Error.Failed', 'internal error'],
    ['detail', 'org.iotedge.Error.Failed', 'internal error'],
  ];
  for (const [error, name, text] of cases) {
    const [message] = failing(error).sent;
    assert.equal([message?.type, message?.replySerial, message?.destination], [3, 42, ':1.7']);
    assert.equal([message?.errorName, message?.signature, message?.body], [name, 's', [text]]);
  }
  const [long] = failing(new ServiceError('NotFound', 'x'.repeat(10_000))).sent;
  assert.equal(long?.body, ['x'.repeat(4096)]);
});

test('are not sent to a caller that expects none', () => {
  for (const { bytes, sent } of [
    failing(new ServiceError('NotFound', 'x'), 1),
    sentBy((bus, call) => reply(bus, call, { signature: '', body: [] }), 1),
  ]) {
    assert.equal([bytes, sent], [0, []]);
  }
  assert.is(failing(new ServiceError('NotFound', 'x'), 6).sent.length, 1);
});

test.run();
