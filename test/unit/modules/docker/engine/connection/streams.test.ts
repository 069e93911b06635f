/** Streams of the engine, cut into arbitrary pieces. */
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { jsonLines } from '../../../../../../src/modules/docker/engine/connection/streams.ts';
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

const sizes = fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 20 });
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
