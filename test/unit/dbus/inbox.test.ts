import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { writeMessage } from '../../../src/dbus/codec.ts';
import { Inbox, maxCallBytes } from '../../../src/dbus/inbox.ts';
import { type IncomingMessage, Message, messageType } from '../../../src/dbus/message.ts';
import { WireWriter } from '../../../src/dbus/writer.ts';

const test = suite('dbus inbox');

const { call, reply, signal } = messageType;

function bytesOf(serial: number, type: number, size: number, path = '/'): Buffer {
  const writer = new WireWriter();
  const where = type === reply ? { replySerial: 1 } : { path, interface: 'a.b', member: 'C' };
  const body = [Buffer.alloc(size, serial)];
  writeMessage(writer, new Message({ ...where, type, serial, signature: 'ay', body }));
  return Buffer.from(writer.buffer.subarray(0, writer.position));
}

/** Reads messages out of bytes that come in pieces of these sizes, over and over. */
function readAll(bytes: Buffer, pieces: readonly number[]): readonly IncomingMessage[] {
  const inbox = new Inbox();
  const messages: IncomingMessage[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = pieces[turn % pieces.length] ?? 1;
    inbox.add(bytes.subarray(at, at + size));
    at += size;
    // two pieces at a time, as after a pause
    if (turn % 2 === 0 && at < bytes.length) continue;
    for (let next = inbox.next(); next; next = inbox.next()) messages.push(next);
  }
  return messages;
}

const unreadable = bytesOf(90, call, 10);
unreadable.write('z', 18); // the type of the first header field
const longHeader = bytesOf(91, call, 0, `/${'a'.repeat(100_000)}`);
const sent = [
  bytesOf(1, call, 0),
  unreadable,
  bytesOf(2, call, 100),
  bytesOf(3, call, maxCallBytes),
  bytesOf(4, signal, maxCallBytes + 7),
  bytesOf(5, reply, maxCallBytes + 3),
  longHeader,
  bytesOf(6, signal, 1),
];

for (const pieces of [[1 << 30], [65_536], [1000, 1, 77_777], [3, 5000], [262_144, 16]]) {
  test(`reads what comes in pieces of ${pieces.join(' and ')}`, () => {
    const messages = readAll(Buffer.concat(sent), pieces);
    const small = messages.filter(({ serial }) => serial !== 91);
    assert.equal(
      small.map(({ serial }) => serial),
      [1, 2, 3, 4, 5, 6],
    );
    const sizes = new Map(sent.map((bytes) => [bytes.readUInt32LE(8), bytes.length]));
    for (const { serial, sizeBytes } of messages) assert.is(sizeBytes, sizes.get(serial));
    for (const { serial, body, bodyError } of small) {
      const isDropped = serial === 3 || serial === 4;
      assert.is(bodyError instanceof RangeError, isDropped, `${serial}`);
      if (!isDropped)
        assert.is(
          (body[0] as Buffer).every((byte) => byte === serial),
          true,
        );
    }
  });
}

test('takes calls and signals up to a limit, the header alone above it, and no header without end', () => {
  const serials = (bytes: Buffer) => readAll(bytes, [65_536]).map(({ serial }) => serial);
  assert.equal(serials(longHeader), [91], 'a long header in a message that is not too large');
  const both = bytesOf(92, call, maxCallBytes, `/${'a'.repeat(100_000)}`);
  assert.equal(serials(Buffer.concat([both, bytesOf(7, call, 1)])), [7]);
});

test('says that what is no message is none', () => {
  const inbox = new Inbox();
  inbox.add(Buffer.from('HTTP/1.1 400 Bad Request'));
  assert.throws(() => inbox.next(), TypeError);
});

test.run();
