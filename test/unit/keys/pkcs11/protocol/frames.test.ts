import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MalformedMessage } from '../../../../../src/keys/pkcs11/protocol/bytes.ts';
import { FrameSplitter, maxFrameBytes } from '../../../../../src/keys/pkcs11/protocol/frames.ts';
import { holds } from '../../../../support/property.ts';

const test = suite('frames of a stream');

function framed(payload: Uint8Array): Buffer {
  const header = Buffer.alloc(4);
  header.writeUInt32LE(payload.length);
  return Buffer.concat([header, payload]);
}

/** The frames in a stream that arrives in chunks of these sizes, again and again. */
function split(stream: Buffer, sizes: readonly number[]) {
  const found: Buffer[] = [];
  const frames: Buffer[] = [];
  const splitter = new FrameSplitter((frame) => {
    found.push(Buffer.from(frame));
    frames.push(frame);
  });
  const chunks: Buffer[] = [];
  for (let at = 0, turn = 0; at < stream.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1;
    const chunk = Buffer.from(stream.subarray(at, at + size));
    chunks.push(chunk);
    splitter.push(chunk);
    at += size;
  }
  return { found, wiped: [...chunks, ...frames] };
}

const isMalformed = (error: unknown) => error instanceof MalformedMessage;

test('are the same however the stream is chunked, and nothing of them stays', () => {
  const payload = fc.uint8Array({ maxLength: 40 });
  const sizes = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 8 });
  const property = fc.property(fc.array(payload, { maxLength: 8 }), sizes, (payloads, chunks) => {
    const { found, wiped } = split(Buffer.concat(payloads.map(framed)), chunks);
    assert.equal(
      found,
      payloads.map((bytes) => Buffer.from(bytes)),
    );
    for (const bytes of wiped) assert.ok(bytes.every((byte) => byte === 0));
  });
  holds(property, 500);
});

test('have a length that is checked before anything is allocated', () => {
  const header = Buffer.alloc(4);
  for (const length of [maxFrameBytes + 1, 0xffffffff]) {
    header.writeUInt32LE(length);
    assert.throws(() => split(header, [4]), isMalformed);
    assert.throws(() => split(header, [1]), isMalformed);
  }
  header.writeUInt32LE(maxFrameBytes);
  assert.equal(split(header, [4]).found, []);
});

test('are wiped also when handling them fails', () => {
  const secret = Buffer.from('a PIN of a token');
  const kept: Buffer[] = [];
  for (const size of [100, 3]) {
    const splitter = new FrameSplitter((frame) => {
      kept.push(frame);
      throw new Error('refused');
    });
    const stream = framed(secret);
    const push = () => {
      for (let at = 0; at < stream.length; at += size) {
        const chunk = Buffer.from(stream.subarray(at, at + size));
        kept.push(chunk);
        splitter.push(chunk);
      }
    };
    assert.throws(push, 'refused');
  }
  assert.ok(kept.length > 4);
  for (const bytes of kept) assert.ok(bytes.every((byte) => byte === 0));
});

test.run();
