import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readersOf, writersOf } from '../../../../src/dbus/wire/codec.ts';
import type { IncomingMessage } from '../../../../src/dbus/wire/inbox.ts';
import { Inbox } from '../../../../src/dbus/wire/inbox.ts';
import { WireReader } from '../../../../src/dbus/wire/reader.ts';
import { WireWriter } from '../../../../src/dbus/wire/writer.ts';
import { holds } from '../../../support/property.ts';
import {
  comparable,
  type Sample,
  samples,
  shapes,
  writable,
} from '../../../support/wire/dbus-values.ts';
import { receive } from '../../../support/wire/messages.ts';
import { encode, encodeCall } from '../../../support/wire/reference-codec.ts';

const test = suite('dbus codec, for any value');

const depth = 6;
const maxElements = 100_000;
const orders = ['little', 'big'] as const;
const sample = samples(depth);
const offset = fc.nat({ max: 15 });
const bodies = fc
  .array(samples(3), { maxLength: 3 })
  .filter((all) => signatureOf(all).length <= 255);

function signatureOf(values: readonly Sample[]): string {
  return values.map(({ shape }) => shape.signature).join('');
}

/** Encoded over other bytes, into a buffer with room or one that must grow. */
function write({ shape, value }: Sample, at: number): Buffer {
  const writer = new WireWriter(at % 2 === 0 ? 16 : 8 << 10);
  writer.buffer.fill(0xff);
  for (let filled = 0; filled < at; filled++) writer.byte(0);
  for (const one of writersOf(shape.signature)) one(writer, writable(value));
  return writer.buffer.subarray(at, writer.position);
}

function read(signature: string, bytes: Buffer, order: 'little' | 'big', at = 0): unknown {
  const whole = Buffer.concat([Buffer.alloc(at), bytes]);
  const reader = new WireReader(whole, at, { littleEndian: order === 'little', maxElements });
  const values = readersOf(signature).map((one) => one(reader));
  reader.expectEnd();
  return values;
}

/** Accepts only errors of the codec: not those that Node or the engine throws for misuse. */
function assertRefusal(error: unknown): void {
  const own = error instanceof TypeError || error instanceof RangeError;
  const misused = /call stack|Cannot read|not a function|not iterable|allocat/;
  assert.ok(own && !('code' in error) && !misused.test(error.message), String(error));
}

test('encodes as specified, at every offset', () =>
  holds(
    fc.property(sample, offset, (one, at) => {
      const wanted = encode([one], 'little', at);
      assert.is(write(one, at).toString('hex'), wanted.toString('hex'));
    }),
    400,
  ));

test('decodes as specified, in both byte orders, at every offset', () =>
  holds(
    fc.property(sample, offset, (one, at) => {
      for (const order of orders) {
        const values = read(one.shape.signature, encode([one], order, at), order, at);
        assert.equal(comparable(values), comparable([one.value]), order);
      }
    }),
    400,
  ));

test('receives a message with any body, in both byte orders', () =>
  holds(
    fc.property(bodies, fc.integer({ min: 1, max: 0xffffffff }), (body, serial) => {
      for (const order of orders) {
        const message = receive(encodeCall(serial, body, order));
        const { type, flags, path, member, destination, signature } = message?.header ?? {};
        assert.equal([type, flags, path, member, destination], [1, 4, '/a/b', 'Member', ':1.7']);
        assert.equal([message?.header.serial, signature], [serial, signatureOf(body)]);
        const values = message?.decode(maxElements);
        assert.equal(comparable(values), comparable(body.map(({ value }) => value)), order);
      }
    }),
    200,
  ));

test('refuses every truncated value, and every one with a byte after it', () =>
  holds(
    fc.property(samples(3), fc.constantFrom(...orders), fc.nat(), (one, order, cut) => {
      const { signature } = one.shape;
      const bytes = encode([one], order);
      const short = bytes.subarray(0, cut % bytes.length);
      for (const wrong of [short, Buffer.concat([bytes, Buffer.of(0)])]) {
        try {
          read(signature, wrong, order);
        } catch (error) {
          assertRefusal(error);
          continue;
        }
        assert.unreachable(`${signature} is read from ${wrong.toString('hex')}`);
      }
    }),
    300,
  ));

test('throws only its own errors for any bytes of any signature', () =>
  holds(
    fc.property(
      shapes(depth),
      fc.uint8Array({ maxLength: 64 }),
      fc.constantFrom(...orders),
      ({ signature }, bytes, order) => {
        try {
          read(signature, Buffer.from(bytes), order);
        } catch (error) {
          assertRefusal(error);
        }
      },
    ),
    1000,
  ));

test('accepts any text as a signature, or throws its own error', () =>
  holds(
    fc.property(
      fc.string({ unit: fc.constantFrom(...'y b s a a a ( ( { { } ) } v'.split(' ')) }),
      (text) => {
        try {
          readersOf(text);
        } catch (error) {
          assertRefusal(error);
          return;
        }
        assert.not.match(text, /\(\)|\{\}|a$|^[{})]/);
      },
    ),
    2000,
  ));

interface Mutation {
  readonly at: number;
  readonly byte: number;
}

/** The messages received from these bytes, which may be invalid; holds no body of more than 64 KiB. */
function received(bytes: Buffer): readonly IncomingMessage[] {
  const inbox = new Inbox(() => 64 << 10);
  const messages: IncomingMessage[] = [];
  inbox.add(bytes);
  for (let next = inbox.next(); next !== undefined; next = inbox.next()) {
    next.detach();
    messages.push(next);
  }
  return messages;
}

test('throws only its own errors for a damaged message', () =>
  holds(
    fc.property(
      bodies,
      fc.constantFrom(...orders),
      fc.array(fc.record<Mutation>({ at: fc.nat(), byte: fc.nat({ max: 255 }) }), {
        minLength: 1,
        maxLength: 4,
      }),
      (body, order, mutations) => {
        const bytes = encodeCall(7, body, order);
        for (const { at, byte } of mutations) bytes[at % bytes.length] = byte;
        try {
          for (const message of received(bytes)) message.decode(maxElements);
        } catch (error) {
          assertRefusal(error);
        }
      },
    ),
    2000,
  ));

test.run();
