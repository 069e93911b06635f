import { Readable } from 'node:stream';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { typedLine, withoutLineBreak } from '../../../../src/cli/password/typed-line.ts';

const test = suite('a password that is typed');

/** The outcome of keys, and what is left of them in memory. */
async function typed(...chunks: readonly string[]) {
  const buffers = chunks.map((chunk) => Buffer.from(chunk));
  const line = await typedLine(Readable.from(buffers) as AsyncIterable<Buffer>);
  return { line: Buffer.isBuffer(line) ? line.toString() : line, buffers };
}

test('ends at the line, in any chunks, and is wiped', async () => {
  const { line, buffers } = await typed('se', 'cre', 't\rrest');
  assert.is(line, 'secret');
  assert.ok(buffers.every((buffer) => buffer.every((byte) => byte === 0)));
  assert.is((await typed('\n')).line, '');
});

test('is edited as in the line discipline of a terminal', async () => {
  assert.is((await typed('ab€\x7f\x7fc\r')).line, 'ac');
  assert.is((await typed('\x7f\x08wrong\x15right\r')).line, 'right');
  assert.is((await typed('ab\x04')).line, 'ab');
});

test('is none when it is interrupted, ended or too long', async () => {
  assert.is((await typed('ab\x03')).line, 'interrupted');
  assert.is((await typed('\x04')).line, 'end of input');
  assert.is((await typed('ab')).line, 'end of input');
  assert.is((await typed('x'.repeat(1025))).line, 'too long');
});

test('in a file has no line break at its end, and one only', () => {
  const texts = ['a', 'a\n', 'a\r\n', 'a\n\n', '\n', 'a\r'];
  const found = texts.map((text) => withoutLineBreak(Buffer.from(text)).toString());
  assert.equal(found, ['a', 'a', 'a', 'a\n', '', 'a\r']);
});

test.run();
