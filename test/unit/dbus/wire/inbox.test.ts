import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Inbox, type IncomingMessage } from '../../../../src/dbus/wire/inbox.ts';
import { type MessageHeader, messageType } from '../../../../src/dbus/wire/message.ts';
import { numbers } from '../../../support/numbers.ts';
import { bytesOfMessage } from '../../../support/wire/messages.ts';

const test = suite('dbus inbox');

const { call, reply, signal } = messageType;
const acceptedBytes = 1000;

/** Accepts calls up to the limit of a service, replies of any size, and skips signals of one serial. */
function accept({ type, serial }: MessageHeader): number | undefined {
  if (type === reply) return Number.POSITIVE_INFINITY;
  return serial === 60 ? undefined : acceptedBytes;
}

/** A message whose body is an array of this many bytes, each like its serial. */
function bytesOf(serial: number, type: number, size: number, path = '/'): Buffer {
  const where = type === reply ? { replySerial: 1 } : { path, interface: 'a.b', member: 'C' };
  const body = [Buffer.alloc(size, serial)];
  return bytesOfMessage({ ...where, type, serial, signature: 'ay', body });
}

/** A message with one more field before the others, of an unknown code. */
function withField(message: Buffer, type: string, value: Buffer): Buffer {
  const head = Buffer.from(`\xc8${String.fromCharCode(type.length)}${type}\0`, 'latin1');
  const field = Buffer.concat([head, value]);
  const padded = Buffer.concat([field, Buffer.alloc((8 - (field.length % 8)) % 8)]);
  const out = Buffer.concat([message.subarray(0, 16), padded, message.subarray(16)]);
  out.writeUInt32LE(message.readUInt32LE(12) + padded.length, 12);
  return out;
}

/** An array as a header field has it: code, length of the type, type and NUL come first, then its length is aligned to 4. */
function array(type: string, size: number): Buffer {
  const padding = (4 - ((3 + type.length) & 3)) & 3;
  const length = Buffer.alloc(padding + 4);
  length.writeUInt32LE(size, padding);
  return Buffer.concat([length, Buffer.alloc(size, type === 'ay' ? 0x6c : 0)]);
}

/** Receives bytes in pieces of these sizes, repeatedly, in a buffer that is reused and wiped. */
function receiveAll(bytes: Buffer, pieces: readonly number[]): readonly IncomingMessage[] {
  const inbox = new Inbox(accept);
  const messages: IncomingMessage[] = [];
  const largest = Math.min(bytes.length, Math.max(...pieces));
  const buffer = Buffer.alloc(largest);
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = bytes.copy(buffer, 0, at, at + (pieces[turn % pieces.length] ?? 1));
    inbox.add(buffer.subarray(0, size));
    at += size;
    for (let next = inbox.next(); next; next = inbox.next()) {
      next.detach();
      messages.push(next);
    }
    buffer.fill(0);
  }
  return messages;
}

const unreadable = bytesOf(90, call, 10);
unreadable.write('z', 18); // the type of the first header field
const sent = [
  bytesOf(1, call, 0),
  unreadable,
  bytesOf(2, call, acceptedBytes - 4),
  bytesOf(3, call, acceptedBytes - 3),
  bytesOf(4, signal, 100_000),
  bytesOf(5, reply, 100_003),
  bytesOf(60, signal, 10),
  withField(bytesOf(6, call, 1), 'ay', array('ay', 200_000)),
  withField(bytesOf(7, call, 200_000), 'aay', array('aay', 200_000)),
  bytesOf(70, call, 50_000, `/${'a'.repeat(100_000)}`),
  bytesOf(8, signal, 1),
];

for (const pieces of [[1 << 30], [65_536], [1000, 1, 77_777], [3, 5000], [262_144, 16], [1]]) {
  test(`receives pieces of ${pieces.join(' and ')}`, () => {
    const messages = receiveAll(Buffer.concat(sent), pieces);
    const serials = messages.map(({ header }) => header.serial);
    assert.equal(serials, [1, 2, 3, 4, 5, 6, 7, 70, 8]);
    for (const message of messages) {
      const { serial, type, member, replySerial } = message.header;
      assert.is(type === reply ? replySerial : member, type === reply ? 1 : 'C');
      assert.is(message.isSkipped, [3, 4, 6, 7, 70].includes(serial), `${serial}`);
      if (message.isSkipped) {
        assert.throws(() => message.decode(0), RangeError);
        continue;
      }
      const [bytes] = message.decode(0);
      assert.ok((bytes as Buffer).every((byte) => byte === serial));
    }
  });
}

test('skips unknown header fields of every kind', () => {
  const fields: readonly (readonly [string, string])[] = [
    ['y', '07'],
    ['q', '0700'],
    ['u', '07000000'],
    ['t', '00000000 0700000000000000'],
    ['s', '02000000 616200'],
    ['g', '01 6100'],
    ['v', '017500 00 07000000'],
    ['(yv)', '00 07 017500 07000000'],
    ['a{sv}', '00000000 00000000'],
    ['at', '000000 08000000 00000000 0000000000000000'],
  ];
  for (const [type, hex] of fields) {
    const message = withField(
      bytesOf(1, call, 1),
      type,
      Buffer.from(hex.replaceAll(' ', ''), 'hex'),
    );
    const [received] = receiveAll(message, [7]);
    assert.is(received?.header.member, 'C', type);
  }
});

test('drops an oversized header that has no length to skip, or endless fields', () => {
  const large = array('ay', 20_000);
  const variant = withField(bytesOf(1, call, 50_000), 'v', Buffer.from('01790007', 'hex'));
  const structure = withField(variant, 'ay', large);
  let many = withField(bytesOf(2, call, 50_000), 'ay', large);
  for (let count = 0; count < 70; count++) many = withField(many, 'y', Buffer.of(1));
  const lying = withField(bytesOf(4, call, 50_000), 'ay', large);
  lying.writeUInt32LE(1 << 30, 16 + 8); // the array's length
  for (const message of [structure, many, lying]) {
    const messages = receiveAll(Buffer.concat([message, bytesOf(9, call, 1)]), [4096]);
    assert.equal(
      messages.map(({ header }) => header.serial),
      [9],
    );
  }
});

test('delivers no body after a header of more than 16 KiB, and the whole body after a smaller one', () => {
  for (let fields = 16_370; fields < 16_400; fields++) {
    const bare = bytesOf(1, call, 40).readUInt32LE(12);
    const path = `/${'a'.repeat(fields - bare)}`;
    const message = bytesOf(1, call, 40, path);
    if (message.readUInt32LE(12) !== fields) continue; // padding after the path
    for (const pieces of [[1 << 20], [100, 7]]) {
      const [first, second] = receiveAll(Buffer.concat([message, bytesOf(2, call, 1)]), pieces);
      assert.is(first?.isSkipped, fields > 16_384, `${fields}`);
      if (fields <= 16_384) assert.equal(first?.decode(0), [Buffer.alloc(40, 1)]);
      assert.is(second?.header.serial, 2);
    }
  }
});

test('throws for an invalid message', () => {
  const inbox = new Inbox(accept);
  inbox.add(Buffer.from('HTTP/1.1 400 Bad Request'));
  assert.throws(() => inbox.next(), TypeError);
});

test('does not hold what it skips', () => {
  const inbox = new Inbox(accept);
  const chunk = Buffer.alloc(64 << 10);
  const start = withField(bytesOf(1, call, 0), 'ay', array('ay', 32 << 20)).subarray(
    0,
    chunk.length,
  );
  inbox.add(start);
  assert.is(inbox.next(), undefined);
  const before = process.memoryUsage().arrayBuffers;
  for (let count = 1; count < 512; count++) {
    inbox.add(chunk);
    assert.is(inbox.next(), undefined);
  }
  assert.ok(process.memoryUsage().arrayBuffers - before < 1 << 20);
});

test('finds every message after malformed ones, wherever the pieces end', () => {
  const next = numbers(77);
  for (let round = 0; round < 400; round++) {
    const stream: Buffer[] = [];
    const expected: number[] = [];
    for (let serial = 1; serial < 12; serial++) {
      const type = [call, reply, signal][next(3)] ?? call;
      let message = bytesOf(serial, type, next(3) === 0 ? next(70_000) : next(1500));
      if (next(4) === 0) message = withField(message, 'ay', array('ay', next(40_000)));
      const isSound = next(3) > 0;
      // everything after the sizes may be wrong: a bus passes bodies on as they are
      if (!isSound)
        for (let left = 4; left > 0; left--) message[16 + next(message.length - 16)] = next(256);
      stream.push(message);
      if (isSound) expected.push(serial);
    }
    const pieces = Array.from({ length: 5 }, () => 1 + next(next(2) === 0 ? 100 : 100_000));
    const serials = receiveAll(Buffer.concat(stream), pieces).map(({ header }) => header.serial);
    assert.equal(
      serials.filter((serial) => expected.includes(serial)),
      expected,
    );
  }
});

test.run();
