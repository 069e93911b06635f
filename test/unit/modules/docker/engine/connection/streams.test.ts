/** Streams of the engine, cut into arbitrary pieces. */
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  demultiplexed,
  jsonLines,
  lastLines,
  plain,
} from '../../../../../../src/modules/docker/engine/connection/streams.ts';
import { codeIn } from '../../../../../support/failure.ts';
import { holdsAsync } from '../../../../../support/property.ts';

const test = suite('streams of the engine');

async function* pieces(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  let at = 0;
  for (const size of sizes) {
    yield await Promise.resolve(bytes.subarray(at, at + size));
    at += size;
  }
  yield bytes.subarray(at);
}

async function all<T>(stream: AsyncIterable<T>): Promise<readonly T[]> {
  const found: T[] = [];
  for await (const one of stream) found.push(one);
  return found;
}

const joined = async (stream: AsyncIterable<Buffer>): Promise<string> =>
  Buffer.concat(await all(stream)).toString('latin1');

/** A frame of a log as the engine writes it. */
function frame(payload: Buffer, channel = 1): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt8(channel);
  head.writeUInt32BE(payload.length, 4);
  return Buffer.concat([head, payload]);
}

const sizes = fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 20 });
const payload = fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes));

test('of logs hold the payload of every frame, and nothing else', async () => {
  const isWhole = async (payloads: readonly Buffer[], cuts: readonly number[]) => {
    const bytes = Buffer.concat(payloads.map((one, at) => frame(one, (at % 2) + 1)));
    const expected = Buffer.concat(payloads).toString('latin1');
    assert.is(await joined(demultiplexed(pieces(bytes, cuts))), expected);
    assert.is(await joined(plain(pieces(bytes, cuts))), bytes.toString('latin1'));
  };
  await holdsAsync(fc.asyncProperty(fc.array(payload, { maxLength: 6 }), sizes, isWhole), 300);
});

test('of logs end in the last whole lines that fit', async () => {
  const isTail = async (lines: readonly string[], cuts: readonly number[], most: number) => {
    const text = lines.map((line) => `${line}\n`).join('');
    const found = (await lastLines(pieces(Buffer.from(text), cuts), most)).toString();
    assert.ok(text.endsWith(found));
    assert.ok(Buffer.byteLength(found) <= most);
    const before = text.slice(0, text.length - found.length);
    assert.ok(before === '' || before.endsWith('\n'));
    if (Buffer.byteLength(text) <= most) assert.is(found, text);
  };
  const line = fc.stringMatching(/^[a-zä]{0,12}$/);
  const most = fc.integer({ min: 0, max: 60 });
  await holdsAsync(fc.asyncProperty(fc.array(line, { maxLength: 8 }), sizes, most, isTail), 500);
});

test('of logs are complete up to the limit, and lose no line that fits', async () => {
  const lines = Buffer.from('first\nsecond\nthird\n');
  const last = async (most: number, cuts: readonly number[] = [6, 7]) =>
    (await lastLines(pieces(lines, cuts), most)).toString();
  assert.is(await last(19), 'first\nsecond\nthird\n');
  assert.is(await last(18, []), 'second\nthird\n');
  assert.is(await last(6, []), '');
  assert.is(await last(7, []), 'third\n');
});

test('of logs are UTF-8, whatever a container prints', async () => {
  const bytes = Buffer.from([0x61, 0xff, 0xc3, 0x0a]);
  const found = await lastLines(pieces(bytes, [2]), 100);
  assert.is(found.toString(), 'a\u{fffd}\u{fffd}\n');
  assert.ok(Buffer.from(found.toString()).equals(found));
});

test('of events are one JSON object per line, and other lines are skipped', async () => {
  const isRead = async (values: readonly unknown[], cuts: readonly number[]) => {
    const text = values.map((one) => `${JSON.stringify(one)}\n`).join('');
    const found = await all(jsonLines(pieces(Buffer.from(text), cuts)));
    const expected = values.filter((one) => typeof one === 'object' && one !== null);
    assert.equal(found, JSON.parse(JSON.stringify(expected)));
  };
  const values = fc.array(fc.jsonValue(), { maxLength: 6 });
  await holdsAsync(fc.asyncProperty(values, sizes, isRead), 300);
  const damaged = Buffer.from('{"a":1}\n{"b":\n\n{"c":3}');
  assert.equal(await all(jsonLines(pieces(damaged, [3, 9]))), [{ a: 1 }, { c: 3 }]);
});

test('of events have lines of 1 MiB at most', async () => {
  const read = async (bytes: number) => {
    try {
      return (await all(jsonLines(pieces(Buffer.alloc(bytes, 'x'), [100])))).length;
    } catch (error) {
      return codeIn(error);
    }
  };
  assert.is(await read(1 << 20), 0);
  assert.is(await read((1 << 20) + 1), 'Unavailable');
});

test.run();
