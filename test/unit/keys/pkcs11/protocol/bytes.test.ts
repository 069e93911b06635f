import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  ByteReader,
  ByteWriter,
  MalformedMessage,
} from '../../../../../src/keys/pkcs11/protocol/bytes.ts';

const test = suite('bytes of a message');

function written(write: (writer: ByteWriter) => void): Buffer {
  const writer = new ByteWriter();
  write(writer);
  return writer.finish();
}

const isMalformed = (error: unknown) => error instanceof MalformedMessage;

test('are read as they were written', () => {
  const large = Buffer.alloc(1000, 7);
  const reader = new ByteReader(
    written((writer) => {
      writer.u8(255);
      writer.u32(0xffffffff);
      writer.f64(2 ** 64);
      writer.bytes(large);
      writer.bytes(Buffer.alloc(0));
    }),
  );
  assert.is(reader.u8(), 255);
  assert.is(reader.u32(), 0xffffffff);
  assert.is(reader.f64(), 2 ** 64);
  assert.equal(reader.bytes(), large);
  assert.is(reader.remaining, 4);
  assert.equal(reader.bytes(), Buffer.alloc(0));
  reader.end();
});

test('are wiped where the writer has outgrown them', () => {
  const secret = Buffer.alloc(200, 'secret');
  const writer = new ByteWriter();
  writer.bytes(secret);
  const outgrown = writer.finish();
  assert.ok(outgrown.includes(secret));
  writer.bytes(secret);
  assert.ok(outgrown.every((byte) => byte === 0));
  assert.equal(new ByteReader(writer.finish()).bytes(), secret);
});

test('are copied out of the message, which is wiped after it was read', () => {
  const message = written((writer) => writer.bytes(Buffer.from('pin')));
  const read = new ByteReader(message).bytes();
  message.fill(0);
  assert.is(read.toString(), 'pin');
});

test('that end too early, follow, or whose length lies are malformed', () => {
  const short = Buffer.alloc(3);
  assert.throws(() => new ByteReader(short).u32(), isMalformed);
  assert.throws(() => new ByteReader(short).f64(), isMalformed);
  assert.throws(() => new ByteReader(short).bytes(), isMalformed);
  assert.throws(() => new ByteReader(Buffer.alloc(0)).u8(), isMalformed);
  assert.throws(() => new ByteReader(short).end(), isMalformed);
  for (const length of [1, 4, 0x7fffffff, 0xffffffff]) {
    const lie = written((writer) => writer.u32(length));
    assert.throws(() => new ByteReader(lie).bytes(), isMalformed);
  }
});

test.run();
