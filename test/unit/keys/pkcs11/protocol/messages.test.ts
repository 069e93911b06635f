import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MalformedMessage } from '../../../../../src/keys/pkcs11/protocol/bytes.ts';
import { bytes, text } from '../../../../../src/keys/pkcs11/protocol/fields.ts';
import { headerBytes, maxFrameBytes } from '../../../../../src/keys/pkcs11/protocol/frames.ts';
import {
  decodeAll,
  decodeReply,
  decodeRequest,
  encodeAlive,
  encodeFailure,
  encodeReply,
  encodeRequest,
  type Failure,
} from '../../../../../src/keys/pkcs11/protocol/messages.ts';
import { operations } from '../../../../../src/keys/pkcs11/protocol/operations.ts';
import { holds } from '../../../../support/property.ts';

const test = suite('messages to and from the process of a library');
const isMalformed = (error: unknown) => error instanceof MalformedMessage;

/** The message in a frame, whose length must be right. */
function message(frame: Buffer): Buffer {
  assert.is(frame.readUInt32LE(0), frame.length - headerBytes);
  return frame.subarray(headerBytes);
}

test('are requests with their id and operation', () => {
  const request = { pool: 7, pin: Buffer.from('1234') };
  const received = decodeRequest(message(encodeRequest(42, operations.login, request)));
  assert.is(received.id, 42);
  assert.is(received.operation, operations.login.number);
  assert.equal(decodeAll(operations.login.request, received.reader), request);
});

test('are replies and failures with the id of the request', () => {
  const ok = decodeReply(message(encodeReply(42, operations.sign.reply, Buffer.from('signed'))));
  assert.is(ok.kind, 'ok');
  if (ok.kind !== 'ok') return;
  assert.is(ok.id, 42);
  assert.equal(decodeAll(bytes, ok.reader), Buffer.from('signed'));
  const failures: readonly Failure[] = [
    { kind: 'ckr', ckr: 'CKR_PIN_INCORRECT', call: 'C_Login' },
    { kind: 'lost' },
    { kind: 'other', message: 'cannot be loaded' },
  ];
  for (const failure of failures) {
    const received = decodeReply(message(encodeFailure(43, failure)));
    assert.equal(received, { kind: 'failed', id: 43, failure });
  }
  assert.equal(decodeReply(message(encodeAlive())), { kind: 'alive' });
});

test('have names of PKCS#11 in failures, and short texts', () => {
  const long = decodeReply(
    message(encodeFailure(1, { kind: 'other', message: 'x'.repeat(10_000) })),
  );
  assert.ok(
    long.kind === 'failed' && long.failure.kind === 'other' && long.failure.message.length === 500,
  );
  const names: readonly Failure[] = [
    { kind: 'ckr', ckr: 'no CKR', call: 'C_Login' },
    { kind: 'ckr', ckr: 'CKR_OK', call: 'rm -rf' },
    { kind: 'ckr', ckr: `CKR_${'X'.repeat(61)}`, call: 'C_Login' },
  ];
  for (const failure of names) {
    assert.throws(() => decodeReply(message(encodeFailure(1, failure))), isMalformed);
  }
});

test('are malformed when anything is missing or follows', () => {
  const frames = [
    encodeFailure(1, { kind: 'ckr', ckr: 'CKR_OK', call: 'C_Sign' }),
    encodeFailure(1, { kind: 'other', message: 'why' }),
    encodeAlive(),
  ];
  for (const frame of frames) {
    const whole = message(frame);
    for (let length = 0; length < whole.length; length++) {
      assert.throws(() => decodeReply(whole.subarray(0, length)), isMalformed);
    }
    assert.throws(() => decodeReply(Buffer.concat([whole, Buffer.of(0)])), isMalformed);
  }
  assert.throws(() => decodeReply(Buffer.from('0100000003', 'hex')), isMalformed);
  assert.throws(() => decodeReply(Buffer.from('010000000103', 'hex')), isMalformed);
  assert.throws(() => decodeRequest(Buffer.alloc(4)), isMalformed);
});

test('of any bytes are decoded or malformed, and nothing else', () => {
  const all = Object.values(operations);
  const property = fc.property(
    fc.uint8Array({ maxLength: 60 }),
    fc.nat(all.length - 1),
    (random, index) => {
      const operation = all[index];
      const attempts = [
        () => decodeReply(Buffer.from(random)),
        () => {
          const { reader } = decodeRequest(Buffer.from(random));
          const field: { read(from: typeof reader): unknown } = operation?.request ?? text;
          field.read(reader);
        },
      ];
      for (const attempt of attempts) {
        try {
          attempt();
        } catch (error) {
          assert.instance(error, MalformedMessage);
        }
      }
    },
  );
  holds(property, 2000);
});

test('are at most 16 MiB long, and wiped when they are longer', () => {
  const most = Buffer.alloc(maxFrameBytes - 9);
  assert.is(encodeReply(1, bytes, most).length, headerBytes + maxFrameBytes);
  assert.throws(() => encodeReply(1, bytes, Buffer.alloc(maxFrameBytes - 8)), RangeError);
});

test('have a number of their own for each operation', () => {
  const numbers = Object.values(operations).map(({ number }) => number);
  assert.is(new Set(numbers).size, numbers.length);
});

test.run();
