/** Entries of a log from streams of the engine, cut into arbitrary pieces. */
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  framedEntries,
  terminalEntries,
} from '../../../../../../src/modules/docker/engine/logs/log-entries.ts';
import type { LogEntry } from '../../../../../../src/modules/supervisor/module-type.ts';
import { codeIn } from '../../../../../support/failure.ts';
import { holdsAsync } from '../../../../../support/property.ts';

const test = suite('entries of a log');
const time = '2026-11-27T22:53:51.603805489Z';

async function* pieces(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  let at = 0;
  for (const size of sizes) {
    yield await Promise.resolve(bytes.subarray(at, at + size));
    at += size;
  }
  yield bytes.subarray(at);
}

/** The entries as texts. */
async function all(batches: AsyncIterable<readonly LogEntry[]>) {
  const found: (readonly [string, string, string])[] = [];
  for await (const batch of batches) {
    for (const entry of batch)
      found.push([entry.stream, entry.time, entry.text.toString('latin1')]);
  }
  return found;
}

/** A frame of a log as the engine writes it. */
function frame(payload: Buffer, channel = 1): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt8(channel);
  head.writeUInt32BE(payload.length, 4);
  return Buffer.concat([head, payload]);
}

const sizes = fc.array(fc.integer({ min: 0, max: 60 }), { maxLength: 20 });
const payload = fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes));

test('are the frames of a stream, without their times', async () => {
  const areRead = async (payloads: readonly Buffer[], cuts: readonly number[]) => {
    const timed = (text: Buffer) => Buffer.concat([Buffer.from(`${time} `), text]);
    const bytes = Buffer.concat(payloads.map((one, at) => frame(timed(one), (at % 2) + 1)));
    const found = await all(framedEntries(pieces(bytes, cuts)));
    const expected = payloads.map((one, at) => [
      at % 2 === 0 ? 'stdout' : 'stderr',
      time,
      one.toString('latin1'),
    ]);
    assert.equal(found, expected);
  };
  await holdsAsync(fc.asyncProperty(fc.array(payload, { maxLength: 6 }), sizes, areRead), 300);
});

test('are messages of the engine when they have no time', async () => {
  const text = 'Error grabbing logs: invalid character\n';
  const found = await all(framedEntries(pieces(frame(Buffer.from(text), 3), [])));
  assert.equal(found, [['stderr', '', text]]);
});

test('of a terminal are lines', async () => {
  const areRead = async (lines: readonly string[], cuts: readonly number[]) => {
    const bytes = Buffer.from(lines.map((line) => `${time} ${line}\n`).join(''));
    const found = await all(terminalEntries(pieces(bytes, cuts)));
    assert.equal(
      found,
      lines.map((line) => ['stdout', time, `${line}\n`]),
    );
  };
  const line = fc.stringMatching(/^[a-z ]{0,12}$/);
  await holdsAsync(fc.asyncProperty(fc.array(line, { maxLength: 8 }), sizes, areRead), 300);
});

test('of a terminal are 16 KiB of a longer line', async () => {
  const part = 'x'.repeat(16 << 10);
  const bytes = Buffer.from(`${time} ${part}${time} ${part}${time} \n${time} $ `);
  const found = await all(terminalEntries(pieces(bytes, [100, 20_000])));
  assert.equal(
    found,
    [part, part, '\n', '$ '].map((text) => ['stdout', time, text]),
  );
});

test('of a terminal are 16 KiB of a line in which the engine has replaced what is no UTF-8', async () => {
  const size = 16 << 10;
  const own = '2026-11-27T22:53:50Z in the text ';
  const parts = [
    '\ufffd'.repeat(size), // each was one byte
    `${'\ufffd'.repeat(100)}${'x'.repeat(size - 100)}`,
    `${'x'.repeat(size - 1 - own.length)}${own}\ufffd`,
    '\ufffd'.repeat(size - 1),
    `${'x'.repeat(size - 3)}\ufffd`, // it was printed so
    `${'\ufffd'.repeat(5_000)}${'x'.repeat(size - 15_000)}`,
    '\ufffd'.repeat(7_000),
  ];
  const texts = parts.map((part, at) => (part.length < size && at % 2 === 1 ? `${part}\n` : part));
  const bytes = Buffer.from(texts.map((text) => `${time} ${text}`).join(''));
  for (const cuts of [[], [100, 20_000], Array.from({ length: 100 }, () => 1_499)]) {
    const found = await all(terminalEntries(pieces(bytes, cuts)));
    const expected = texts.map((text) => ['stdout', time, Buffer.from(text).toString('latin1')]);
    assert.equal(found, expected);
  }
});

test('of a terminal come without what follows them', async () => {
  for (const text of ['x'.repeat(16 << 10), `${'\ufffd'.repeat(7_000)}\n`]) {
    async function* growing(): AsyncGenerator<Buffer> {
      yield Buffer.from(`${time} ${text}`);
      throw new Error('more was read');
    }
    let found = '';
    for await (const [entry] of terminalEntries(growing())) {
      found = String(entry?.text);
      break;
    }
    assert.is(found, text);
  }
});

test('of a terminal have the time of what they continue when the engine writes none', async () => {
  const size = 16 << 10;
  const later = '2026-11-27T22:53:52.000000001Z';
  const message = 'Error grabbing logs: invalid character\n';
  const bytes = Buffer.from(`${time} ${'x'.repeat(size)}rest\n${later} next\n${message}`);
  const found = await all(terminalEntries(pieces(bytes, [100, 20_000])));
  assert.equal(
    found.map(([, at, text]) => [at, text.length]),
    [
      [time, size],
      [time, 5],
      [later, 5],
      ['', message.length],
    ],
  );
});

test('have 2 MiB at most', async () => {
  const head = Buffer.alloc(8);
  head.writeUInt32BE((2 << 20) + 1, 4);
  const outcome = await all(framedEntries(pieces(head, []))).catch(codeIn);
  assert.is(outcome, 'Unavailable');
});

test.run();
