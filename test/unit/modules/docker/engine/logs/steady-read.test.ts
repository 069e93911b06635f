/** Logs of an engine that ends a response at damage and discards lines before it by chance, as Docker 26 does. */
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { followedLog } from '../../../../../../src/modules/docker/engine/logs/followed-log.ts';
import type { Batches } from '../../../../../../src/modules/docker/engine/logs/positions.ts';
import { steadyRead } from '../../../../../../src/modules/docker/engine/logs/steady-read.ts';
import { timeText } from '../../../../../../src/modules/docker/engine/logs/time-text.ts';
import { wholeLog } from '../../../../../../src/modules/docker/engine/logs/whole-log.ts';
import type { LogEntry, LogRequest } from '../../../../../../src/modules/supervisor/module-type.ts';
import { holdsAsync } from '../../../../../support/property.ts';

const test = suite('log of a damaged file of Docker 26');
const marker = /^iotedge-modules: the container engine cannot read lines of this log/;
const message: LogEntry = {
  stream: 'stderr',
  time: '',
  text: Buffer.from(
    "Error grabbing logs: invalid character '\\x00' looking for beginning of value\n",
  ),
};
const startNs = 1_700_000_000_000_000_000n;

/** A file of the engine. A line is damaged when it is undefined. */
class EngineFile {
  readonly lines: (LogEntry | undefined)[];
  requests = 0;
  /** How many lines are printed while it is read. */
  coming = 0;
  /** One of them before each of so many requests. */
  every = 8;
  /** Lines that are printed when a followed response begins that is not cut, before it ends. */
  readonly last: LogEntry[] = [];
  /** How many lines of a response are not discarded, one after the other for the responses that end at damage. */
  readonly #sent: readonly number[];
  #cut = 0;

  constructor(damaged: readonly boolean[], sent: readonly number[]) {
    this.lines = damaged.map((isDamaged, at) => (isDamaged ? undefined : entryAt(at)));
    this.#sent = sent;
  }

  readonly read = async (request: LogRequest): Promise<Batches> => {
    this.requests++;
    if (this.requests % this.every === 0 && this.coming-- > 0)
      this.lines.push(entryAt(1e15 + this.lines.length));
    await Promise.resolve();
    return request.follow === true ? this.#followed(request) : this.#batches(request);
  };

  #followed(request: LogRequest): Batches {
    const from = this.lines.length;
    const isCut = this.lines.slice(from - (request.tail ?? from)).includes(undefined);
    if (request.tail === 0 || !isCut) this.lines.push(...this.last.splice(0));
    const coming = this.lines.slice(from).map((line) => (line === undefined ? [] : [line]));
    const past = this.#batches(request, from);
    return (async function* followed() {
      yield* past;
      if (request.tail === 0 || !isCut) yield* coming;
    })();
  }

  async *#batches(
    { tail, since = 0n, until = 2n ** 62n }: LogRequest,
    end = this.lines.length,
  ): Batches & AsyncGenerator {
    const lines = this.lines.slice(Math.max(0, end - (tail ?? end)), end);
    const sent: LogEntry[] = [];
    for (const line of lines) {
      if (line === undefined) {
        const count = this.#sent[this.#cut++ % this.#sent.length] ?? 0;
        for (const one of sent.slice(0, count)) yield await Promise.resolve([one]);
        // the message may be discarded, too, when nothing else is
        if (count < sent.length || this.#cut % 2 === 0) yield [message];
        return;
      }
      if (line.time > timeText(until)) break;
      if (line.time >= timeText(since)) sent.push(line);
    }
    for (const one of sent) yield await Promise.resolve([one]);
  }
}

function entryAt(at: number): LogEntry {
  const time = timeText(startNs + BigInt(at) * 1_000n);
  return { stream: 'stdout', time, text: Buffer.from(`${at}\n`) };
}

async function textsOf(batches: AsyncIterable<readonly LogEntry[]>): Promise<readonly string[]> {
  const texts: string[] = [];
  for await (const batch of batches) texts.push(...batch.map(({ text }) => text.toString()));
  return texts;
}

const readWhole = async (file: EngineFile, request: LogRequest = {}) => {
  const read = steadyRead(file.read);
  const first = await read(request);
  return textsOf(wholeLog({ read, request, first, askedAt: new Date() }));
};

const intact = (file: EngineFile, from = 0): readonly string[] =>
  file.lines.slice(from).flatMap((line) => (line === undefined ? [] : [line.text.toString()]));
const isLine = (text: string): boolean => !marker.test(text);

const damages = fc.array(fc.integer({ min: 0, max: 117 }), { maxLength: 12 });
/** Mostly a few lines are sent, at times none, and now and then all. */
const sent = fc
  .array(fc.oneof(fc.constantFrom(1, 1, 2, 3, 1000), fc.integer({ min: 0, max: 40 })), {
    minLength: 7,
    maxLength: 11,
  })
  .map((counts) => [1, ...counts]);
const damagedFile = (places: readonly number[], counts: readonly number[]): EngineFile =>
  new EngineFile(
    Array.from({ length: 120 }, (_, at) => places.includes(at)),
    counts,
  );

/** The number of separate parts of the file that are damaged. */
const partsOf = (file: EngineFile, from = 0): number =>
  file.lines.filter(
    (line, at) => at >= from && line === undefined && file.lines[at + 1] !== undefined,
  ).length;

test('has every readable line once, in order, and one line for each damaged part', async () => {
  const isWhole = async (places: readonly number[], counts: readonly number[]) => {
    const file = damagedFile(places, counts);
    const texts = await readWhole(file);
    assert.equal(texts.filter(isLine), intact(file));
    assert.is(texts.filter((text) => !isLine(text)).length, partsOf(file));
  };
  await holdsAsync(fc.asyncProperty(damages, sent, isWhole), 30);
});

test('has the last lines, or those since a time', async () => {
  const isWhole = async (places: readonly number[], counts: readonly number[], from: number) => {
    const file = damagedFile(places, counts);
    const last = await readWhole(file, { tail: 120 - from });
    assert.equal(last.filter(isLine), intact(file, from));
    const all = await readWhole(file, { tail: 121 + from });
    assert.equal(all.filter(isLine), intact(file));
    const later = await readWhole(file, { since: startNs + BigInt(from) * 1_000n });
    assert.equal(later.filter(isLine), intact(file, from));
  };
  const from = fc.integer({ min: 0, max: 119 });
  await holdsAsync(fc.asyncProperty(damages, sent, from, isWhole), 30);
});

test('has lines that come while it is read once', async () => {
  const isWhole = async (places: readonly number[], counts: readonly number[], every: number) => {
    const file = damagedFile(places, counts);
    file.coming = 30;
    file.every = every;
    const least = intact(file).length;
    const texts = await readWhole(file);
    const lines = texts.filter(isLine);
    assert.equal(lines, intact(file).slice(0, Math.max(least, lines.length)));
    assert.is(texts.length - lines.length, partsOf(file));
  };
  const every = fc.integer({ min: 8, max: 16 });
  await holdsAsync(fc.asyncProperty(damages, sent, every, isWhole), 30);
});

test('says what is missing when lines come faster than it is read', async () => {
  for (const every of [1, 3]) {
    const file = damagedFile([40], [1, 2, 1000, 7]);
    file.coming = Number.MAX_SAFE_INTEGER;
    file.every = every;
    const texts = await readWhole(file);
    const all = intact(file);
    for (const [at, text] of texts.slice(1).entries()) {
      const before = texts[at] ?? '';
      if (!isLine(text)) continue;
      // the one before it, or one about damage up to it
      const follows = isLine(before)
        ? all[all.indexOf(before) + 1] === text
        : before.includes(` before ${entryAt(Number(text)).time}:`);
      assert.ok(follows, `${before} is followed by ${text}`);
    }
  }
});

const readFollowed = async (file: EngineFile): Promise<readonly string[]> => {
  const read = steadyRead(file.read);
  const readWhole = async (request: LogRequest): Promise<Batches> =>
    wholeLog({ read, request, first: await read(request), askedAt: new Date() });
  const past = await readWhole({});
  return textsOf(followedLog({ past, read, readWhole, request: { follow: true } }));
};

test('is followed with every line once, wherever it is damaged', async () => {
  const isWhole = async (places: readonly number[], counts: readonly number[]) => {
    const file = damagedFile(places, counts);
    file.last.push(entryAt(120), entryAt(121));
    const texts = await readFollowed(file);
    assert.is(file.last.length, 0);
    assert.equal(texts.filter(isLine), intact(file));
    assert.is(texts.filter((text) => !isLine(text)).length, partsOf(file));
  };
  // the newest lines, too
  const places = fc.array(fc.integer({ min: 90, max: 119 }), { maxLength: 4 });
  await holdsAsync(fc.asyncProperty(places, sent, isWhole), 30);
  for (const damaged of [[119], [118, 119], Array.from({ length: 120 }, (_, at) => at)]) {
    await isWhole(damaged, [1, 0, 3]);
  }
});

test('is followed with a line once that a module prints like one about damage', async () => {
  const file = damagedFile([60], [1]);
  const text = (await readWhole(file)).find((one) => !isLine(one)) ?? '';
  const printed = { ...entryAt(120), stream: 'stderr', text: Buffer.from(text) } as const;
  file.lines.push(printed);
  file.last.push(entryAt(121));
  const texts = await readFollowed(file);
  assert.equal(texts.slice(-2), [text, '121\n']);
  assert.equal(texts.slice(-3, -2), ['119\n']);
});

test('costs a bounded number of requests', async () => {
  const file = new EngineFile(
    Array.from({ length: 6_000 }, (_, at) => at === 5_000),
    [1],
  );
  const texts = await readWhole(file);
  assert.equal(texts.filter(isLine), intact(file));
  assert.ok(file.requests < 300, String(file.requests));
});

test('costs a bounded number of requests when more lines are asked for than there are', async () => {
  const file = damagedFile([50], [1]);
  const texts = await readWhole(file, { tail: 5_000 });
  assert.equal(texts.filter(isLine), intact(file));
  assert.ok(file.requests < 300, String(file.requests));
});

test.run();
