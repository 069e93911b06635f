import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { lastLines, logText } from '../../../../src/modules/logs/log-text.ts';
import type { LogEntry } from '../../../../src/modules/supervisor/module-type.ts';
import { holdsAsync } from '../../../support/property.ts';

const test = suite('text of a log');

async function* of<T>(...items: readonly T[]): AsyncGenerator<T> {
  for (const item of items) yield await Promise.resolve(item);
}

function entry(text: string | readonly number[], more: Partial<LogEntry> = {}): LogEntry {
  const bytes = typeof text === 'string' ? Buffer.from(text) : Buffer.from(text);
  return { stream: 'stdout', time: '', text: bytes, ...more };
}

async function textOf(entries: readonly LogEntry[], timestamps = false): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of logText(of(entries), { timestamps })) parts.push(part);
  return Buffer.concat(parts);
}

async function* cut(text: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  let at = 0;
  for (const size of sizes) {
    yield await Promise.resolve(text.subarray(at, at + size));
    at += size;
  }
  yield text.subarray(at);
}

test('has a time before each line, and none within one', async () => {
  const entries = [
    entry('lo', { time: 't1' }),
    entry('ng\n', { time: 't2' }),
    entry('error\n', { time: 't3', stream: 'stderr' }),
    entry('next\n', { time: 't4' }),
  ];
  assert.is(String(await textOf(entries, true)), 't1 long\nt3 error\nt4 next\n');
  assert.is(String(await textOf(entries)), 'long\nerror\nnext\n');
});

test('is UTF-8, whatever a container prints', async () => {
  assert.is(String(await textOf([entry([0x61, 0xff, 0xc3, 0x0a])])), 'a\u{fffd}\u{fffd}\n');
  // a character that an entry ends within, in each stream
  const parts = [
    entry([0x61, 0xc3]),
    entry([0xe2, 0x82], { stream: 'stderr' }),
    entry([0xa4, 0x0a]),
    entry([0xac, 0x0a], { stream: 'stderr' }),
    entry('ä\n'),
  ];
  assert.is(String(await textOf(parts)), 'aä\n€\nä\n');
  assert.is(String(await textOf([entry([0xc3])])), '\u{fffd}');
  const bytes = fc.array(fc.uint8Array({ maxLength: 6 }), { maxLength: 6 });
  const isValid = async (texts: readonly Uint8Array[]) => {
    const found = await textOf(texts.map((text) => entry([...text])));
    assert.ok(Buffer.from(found.toString()).equals(found));
  };
  await holdsAsync(fc.asyncProperty(bytes, isValid), 300);
});

test('ends in the last whole lines that fit', async () => {
  const isTail = async (lines: readonly string[], cuts: readonly number[], most: number) => {
    const text = lines.map((line) => `${line}\n`).join('');
    const found = (await lastLines(cut(Buffer.from(text), cuts), most)).toString();
    assert.ok(text.endsWith(found));
    assert.ok(Buffer.byteLength(found) <= most);
    const before = text.slice(0, text.length - found.length);
    assert.ok(before === '' || before.endsWith('\n'));
    if (Buffer.byteLength(text) <= most) assert.is(found, text);
  };
  const line = fc.stringMatching(/^[a-zä]{0,12}$/);
  const sizes = fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 20 });
  const most = fc.integer({ min: 0, max: 60 });
  await holdsAsync(fc.asyncProperty(fc.array(line, { maxLength: 8 }), sizes, most, isTail), 500);
});

test('is complete up to the limit, and loses no line that fits', async () => {
  const lines = Buffer.from('first\nsecond\nthird\n');
  const last = async (most: number, cuts: readonly number[] = [6, 7]) =>
    (await lastLines(cut(lines, cuts), most)).toString();
  assert.is(await last(19), 'first\nsecond\nthird\n');
  assert.is(await last(18, []), 'second\nthird\n');
  assert.is(await last(6, []), '');
  assert.is(await last(7, []), 'third\n');
});

test('is the end of a line that does not fit, from a whole character on', async () => {
  const text = Buffer.from('ä'.repeat(10));
  assert.is((await lastLines(cut(text, [3]), 5)).toString(), 'ää');
});

test.run();
