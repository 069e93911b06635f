/** Logs of an engine that skips lines after damage, as Docker does: how many depends on where it began to read. */
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { followedLog } from '../../../../../../src/modules/docker/engine/logs/followed-log.ts';
import type { Batches } from '../../../../../../src/modules/docker/engine/logs/positions.ts';
import { timeText } from '../../../../../../src/modules/docker/engine/logs/time-text.ts';
import { wholeLog } from '../../../../../../src/modules/docker/engine/logs/whole-log.ts';
import type { LogEntry, LogRequest } from '../../../../../../src/modules/supervisor/module-type.ts';
import { holdsAsync } from '../../../../../support/property.ts';

const test = suite('log of a damaged file');
const marker = /^iotedge-modules: the container engine cannot read lines of this log/;

/** A file of the engine. A line is damaged when it is undefined. */
class EngineFile {
  readonly lines: (LogEntry | undefined)[];
  requests = 0;
  /** Whether a line is printed before each request. */
  grows = false;
  /** How many lines are printed before requests to follow it, one after the other. */
  readonly coming: number[] = [];

  constructor(damaged: readonly boolean[]) {
    this.lines = damaged.map((isDamaged, at) => (isDamaged ? undefined : entryAt(at)));
  }

  readonly read = async (request: LogRequest): Promise<Batches> => {
    this.requests++;
    if (this.grows) this.lines.push(entryAt(1e15 + this.lines.length));
    const coming = request.follow === true ? (this.coming.shift() ?? 0) : 0;
    for (let more = 0; more < coming; more++) this.lines.push(entryAt(this.lines.length));
    await Promise.resolve();
    return this.#batches(request);
  };

  async *#batches({ tail, since = 0n, until = 2n ** 62n }: LogRequest): Batches & AsyncGenerator {
    const start = Math.max(0, this.lines.length - (tail ?? this.lines.length));
    for (let at = start; at < this.lines.length; at++) {
      const line = this.lines[at];
      // never back to the next line: a reader that is lost needs luck
      if (line === undefined) at += 1 + ((start * 7 + at * 3) % 11);
      else if (line.time > timeText(until)) return;
      else if (line.time >= timeText(since)) yield await Promise.resolve([line]);
    }
  }
}

function entryAt(at: number): LogEntry {
  const time = timeText(1_700_000_000_000_000_000n + BigInt(at) * 1_000n);
  return { stream: 'stdout', time, text: Buffer.from(`${at}\n`) };
}

async function textsOf(batches: AsyncIterable<readonly LogEntry[]>): Promise<readonly string[]> {
  const texts: string[] = [];
  for await (const batch of batches) texts.push(...batch.map(({ text }) => text.toString()));
  return texts;
}

const readWhole = async (file: EngineFile, request: LogRequest = {}): Promise<readonly string[]> =>
  textsOf(
    wholeLog({ read: file.read, request, first: await file.read(request), askedAt: new Date() }),
  );

const followed = (past: Batches, file: EngineFile) =>
  followedLog({ past, read: file.read, readWhole: file.read, request: { follow: true } });

/** The lines that are not damaged. */
const intact = (file: EngineFile, from = 0): readonly string[] =>
  file.lines.slice(from).flatMap((line) => (line === undefined ? [] : [line.text.toString()]));

const isLine = (text: string): boolean => !marker.test(text);
const place = fc.integer({ min: 0, max: 119 });
/** NULs make one line of what was several, as they have no line feeds; the lines beside it may be cut, too. */
const damages = fc.oneof(
  fc.array(fc.record({ at: place, length: fc.constant(1) }), { maxLength: 4 }),
  fc.tuple(fc.record({ at: place, length: fc.integer({ min: 2, max: 5 }) })),
);

function damagedFile(places: readonly { readonly at: number; readonly length: number }[]) {
  const isDamaged = (line: number): boolean =>
    places.some(({ at, length }) => line >= at && line < at + length);
  // the newest line can be read, or nothing would tell that something is missing
  return new EngineFile(Array.from({ length: 120 }, (_, line) => line < 118 && isDamaged(line)));
}

test('has every line that is not damaged, in order, and says where lines are missing', async () => {
  const isWhole = async (places: Parameters<typeof damagedFile>[0]) => {
    const file = damagedFile(places);
    const texts = await readWhole(file);
    assert.equal(texts.filter(isLine), intact(file));
    const lost = file.lines.filter((line) => line === undefined).length;
    assert.is(
      texts.some((text) => !isLine(text)),
      lost > 0,
    );
  };
  await holdsAsync(fc.asyncProperty(damages, isWhole), 200);
});

test('has the last lines, or those since a time', async () => {
  const isWhole = async (places: Parameters<typeof damagedFile>[0], from: number) => {
    const file = damagedFile(places);
    const last = await readWhole(file, { tail: 120 - from });
    assert.equal(last.filter(isLine), intact(file, from));
    const since = 1_700_000_000_000_000_000n + BigInt(from) * 1_000n;
    const later = await readWhole(file, { since });
    assert.equal(later.filter(isLine), intact(file, from));
  };
  const from = fc.integer({ min: 0, max: 119 });
  await holdsAsync(fc.asyncProperty(damages, from, isWhole), 200);
});

test('costs two requests more when it is not damaged', async () => {
  const file = damagedFile([]);
  assert.equal(await readWhole(file), intact(file));
  assert.ok(file.requests <= 4, String(file.requests));
});

test('is not taken for damaged because it grows while it is read', async () => {
  const file = damagedFile([]);
  file.grows = true;
  const texts = await readWhole(file);
  assert.equal(texts.filter(isLine), texts);
});

test('that cannot be read at all has one line about it', async () => {
  const file = new EngineFile([true, true, true, false]);
  file.lines.length = 3;
  assert.equal(await readWhole(file), []);
});

test('is followed without a gap when many lines come in one moment', async () => {
  for (const count of [0, 10, 64, 100, 3_000]) {
    const file = new EngineFile(Array.from({ length: 200 }, () => false));
    const past = await file.read({});
    for (let more = 0; more < count; more++) file.lines.push(entryAt(200 + more));
    async function* past200() {
      let passed = 0;
      for await (const batch of past) {
        yield batch;
        if (++passed === 200) return;
      }
    }
    const texts = await textsOf(followed(past200(), file));
    assert.equal(texts, intact(file), `${count} lines`);
  }
});

test('is followed without a gap when lines come between the request for its place and the one to follow it', async () => {
  const moments = [[1], [3, 3, 3], [100, 2, 5, 60], [70, 70, 70, 70], [5, 5, 5, 100, 2_000]];
  for (const coming of moments) {
    const file = new EngineFile(Array.from({ length: 200 }, () => false));
    file.coming.push(...coming);
    const texts = await textsOf(followed(await file.read({}), file));
    assert.equal(texts, intact(file), String(coming));
    assert.is(file.coming.length, 0);
  }
});

test('is followed from its beginning when nothing is there', async () => {
  const file = new EngineFile([false, false]);
  async function* none(): Batches & AsyncGenerator {}
  assert.equal(await textsOf(followed(none(), file)), intact(file));
});

test.run();
