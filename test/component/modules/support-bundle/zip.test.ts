import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ZipEntry, zip } from '../../../../src/modules/support-bundle/zip.ts';

const test = suite('zip files');
const now = new Date('2026-11-27T12:34:56Z');
const script = `
import json, sys, zipfile
file = zipfile.ZipFile(sys.argv[1])
assert file.testzip() is None
print(json.dumps([[i.filename, i.file_size, i.date_time, file.read(i).hex()[:20]] for i in file.infolist()]))
`;

async function* entriesOf(files: readonly (readonly [string, readonly Buffer[]])[]) {
  for (const [name, chunks] of files) {
    const content = async function* () {
      yield* chunks;
    };
    yield { name, content: content() } satisfies ZipEntry;
  }
}

/** What Python's zipfile finds in a zip file. */
async function listing(chunks: AsyncIterable<Uint8Array>): Promise<unknown> {
  const directory = await mkdtemp(join(tmpdir(), 'iotedge-zip-'));
  try {
    const file = join(directory, 'a.zip');
    await writeFile(file, chunks);
    const { stdout } = await promisify(execFile)('python3', ['-c', script, file]);
    return JSON.parse(stdout);
  } finally {
    await rm(directory, { recursive: true });
  }
}

test('are what other programs read', async () => {
  const large = randomBytes(300_000);
  const files: [string, Buffer[]][] = [
    ['logs/a_log.txt', [Buffer.from('hello\n'), Buffer.from('world\n')]],
    ['empty.txt', []],
    ['zufällig/ä.bin', [large.subarray(0, 100_000), large.subarray(100_000)]],
  ];
  const time = [2026, 11, 27, 12, 34, 56];
  assert.equal(await listing(zip(entriesOf(files), now)), [
    ['logs/a_log.txt', 12, time, Buffer.from('hello\nworld\n').toString('hex').slice(0, 20)],
    ['empty.txt', 0, time, ''],
    ['zufällig/ä.bin', 300_000, time, large.toString('hex').slice(0, 20)],
  ]);
});

test('may be empty, and made before 1980', async () => {
  assert.equal(await listing(zip(entriesOf([]), now)), []);
  const [entry] = (await listing(zip(entriesOf([['a', []]]), new Date(0)))) as unknown[][]; // of the script
  assert.equal(entry?.slice(0, 3), ['a', 0, [1980, 1, 1, 0, 0, 0]]);
});

test('compress, and are produced no faster than they are read', async () => {
  let produced = 0;
  const content = async function* () {
    for (; produced < 1000; produced++) yield randomBytes(64 << 10);
  };
  const entries = async function* () {
    yield { name: 'a', content: content() };
  };
  const bytes = zip(entries(), now);
  for (let count = 0; count < 10; count++) await bytes.next();
  const before = produced;
  await new Promise((resolve) => void setTimeout(resolve, 50));
  assert.is(produced, before);
  assert.ok(produced < 100, `${produced} chunks`);
  await bytes.return(undefined);
  const zeros = zip(entriesOf([['a', [Buffer.alloc(1 << 20)]]]), now);
  let size = 0;
  for await (const chunk of zeros) size += chunk.length;
  assert.ok(size < 10_000, `${size} bytes`);
});

test('release an entry whose reader leaves', async () => {
  let isReleased = false;
  const content = async function* () {
    try {
      for (;;) yield randomBytes(64 << 10);
    } finally {
      isReleased = true;
    }
  };
  const entries = async function* () {
    yield { name: 'a', content: content() };
  };
  const bytes = zip(entries(), now);
  for (let count = 0; count < 5; count++) await bytes.next();
  await bytes.return(undefined);
  await new Promise((resolve) => void setImmediate(resolve));
  assert.ok(isReleased);
});

test('fail with their content', async () => {
  const content = async function* () {
    yield Buffer.from('a');
    throw new Error('broken');
  };
  const entries = async function* () {
    yield { name: 'a', content: content() };
  };
  const read = async () => {
    for await (const chunk of zip(entries(), now)) assert.ok(chunk.length > 0);
  };
  await read().then(
    () => assert.unreachable(),
    (error: unknown) => assert.match(String(error), /broken/),
  );
});

test.run();
