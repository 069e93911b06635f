import { execFileSync } from 'node:child_process';
import {
  chown,
  mkdtemp,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseModuleId } from '../../../../src/ids.ts';
import {
  jsonRecords,
  RecordDirectory,
  type RecordForm,
} from '../../../../src/service/state/record-directory.ts';
import { DamagedFile, NewerFile, UnusableFile } from '../../../../src/service/state/state-file.ts';
import { failureOf } from '../../../support/failure.ts';

const test = suite<{ dir: string }>('directories of records');

interface Counter {
  readonly count: number;
}

function parseCounter(value: unknown, id: string): Counter {
  const { of, count } = Object(value) as { of: unknown; count: unknown }; // checked below
  if (of !== id) throw new TypeError('it is of another');
  if (typeof count !== 'number') throw new TypeError('it has no count');
  return { count };
}

/** Counters, each of which contains its id; the ids have no slash. */
const counters = jsonRecords<string, Counter>({
  parseId: parseModuleId,
  parse: parseCounter,
  format: ({ count }) => ({ count }),
});
const text = (of: string, fields: object = {}): string =>
  JSON.stringify({ version: 1, of, count: 7, ...fields });

const keys: RecordForm<string, string> = {
  extension: '.key',
  parseId: (id) => id,
  parse: (content) => content.toString('latin1'),
  isSecret: true,
};

test.before.each(async (context) => {
  context.dir = await mkdtemp(join(tmpdir(), 'iotedge-record-directory-'));
});
test.after.each(async ({ dir }) => {
  await rm(dir, { recursive: true, force: true });
});

test('cache the content of their files, whose names decode to the ids', async ({ dir }) => {
  const path = join(dir, 'counters');
  const form = jsonRecords<string, Counter>({
    parseId: parseModuleId,
    parse: parseCounter,
    format: ({ count }) => ({ of: '$a:b', count }),
  });
  const records = await RecordDirectory.open(path, form);
  const value = { count: 1 };
  await records.put('$a:b', value);
  assert.is(records.get('$a:b'), value);
  assert.equal(await readdir(path), ['=a,b.json']);
  const content = await readFile(join(path, '=a,b.json'), 'utf8');
  assert.is(content, '{"version":1,"of":"$a:b","count":1}\n');
  assert.is((await stat(join(path, '=a,b.json'))).mode & 0o777, 0o600);
  assert.is((await stat(path)).mode & 0o777, 0o700);
  const again = await RecordDirectory.open(path, form);
  assert.equal([again.ids(), again.values()], [['$a:b'], [value]]);
  await again.delete('$a:b');
  await again.delete('$a:b');
  assert.equal([again.ids(), again.get('$a:b'), await readdir(path)], [[], undefined, []]);
});

test('name the damage of a file, and preserve it', async ({ dir }) => {
  const wrong: Readonly<Record<string, readonly [string, RegExp]>> = {
    another: [text('good'), /it is of another/],
    empty: ['', /it is empty/],
    newer: [text('newer', { version: 2 }), /was written by a newer version/],
    none: [text('none', { version: undefined }), /its version is undefined/],
    old: [text('old', { version: 0 }), /its version is 0/],
    short: [text('short').slice(0, -9), /it is not JSON/],
    word: [text('word', { version: '1' }), /its version is "1"/],
  };
  for (const [id, [content]] of Object.entries(wrong)) {
    await writeFile(join(dir, `${id}.json`), content);
  }
  await writeFile(join(dir, 'good.json'), text('good'));
  const records = await RecordDirectory.open(dir, counters);
  assert.equal(records.ids().toSorted(), [...Object.keys(wrong), 'good'].toSorted());
  assert.equal([...records.damaged.keys()].toSorted(), Object.keys(wrong));
  for (const [id, [content, reason]] of Object.entries(wrong)) {
    assert.is(records.get(id), undefined, id);
    assert.match(records.damage(id)?.message ?? 'none', reason, id);
    assert.is(await readFile(join(dir, `${id}.json`), 'utf8'), content);
  }
  assert.instance(records.damage('newer'), NewerFile);
  assert.equal([records.values(), records.damage('good')], [[{ count: 7 }], undefined]);
  assert.equal([records.damage('absent'), records.failure], [undefined, undefined]);
});

test('may lack the version only where their first format had none', async ({ dir }) => {
  for (const [id, version] of Object.entries({ none: undefined, old: 0, newer: 2 })) {
    await writeFile(join(dir, `${id}.json`), text(id, { version }));
  }
  const form = { parseId: (id: string) => id, parse: parseCounter, format: () => ({}) };
  const records = await RecordDirectory.open(dir, jsonRecords({ ...form, mayLackVersion: true }));
  assert.equal([...records.damaged.keys()], ['newer']);
  assert.is(records.values().length, 2);
});

test('ignore other files, and remove the remains of interrupted writes', async ({ dir }) => {
  const others = ['.reserve-0', 'a+b.json', 'a.txt', 'x.json.bak'];
  for (const name of [...others, '.x.json.0123456789ab.tmp']) {
    await writeFile(join(dir, name), text('x'));
  }
  const records = await RecordDirectory.open(dir, counters);
  assert.equal(records.ids(), []);
  assert.equal((await readdir(dir)).toSorted(), others);
});

test('of a newer version are replaced and deleted only by a caller that requests it', async ({
  dir,
}) => {
  const path = join(dir, 'a.json');
  const newer = text('a', { version: 2 });
  await writeFile(path, newer);
  const records = await RecordDirectory.open(dir, counters);
  for (const change of [{}, { evenUnreadable: true }]) {
    assert.is(await failureOf(records.put('a', { count: 1 }, change)), 'Unavailable');
    assert.is(await failureOf(records.delete('a', change)), 'Unavailable');
    assert.is(await readFile(path, 'utf8'), newer);
    assert.equal([records.get('a'), records.ids()], [undefined, ['a']], 'as it is on the disk');
  }
  await records.put('a', { count: 1 }, { evenNewer: true });
  assert.equal([records.get('a'), records.damage('a')], [{ count: 1 }, undefined]);
  await writeFile(path, newer);
  await records.delete('a', { evenNewer: true });
  assert.equal([records.ids(), await readdir(dir)], [[], []]);
});

test('that are damaged are replaced and deleted', async ({ dir }) => {
  for (const name of ['a.json', 'b.json']) await writeFile(join(dir, name), '');
  const records = await RecordDirectory.open(dir, counters);
  await records.put('a', { count: 1 });
  await records.delete('b');
  assert.equal([records.damaged.size, records.ids()], [0, ['a']]);
});

test('that were unusable are read again on request, others are not', async ({ dir }) => {
  const paths = ['a', 'b', 'damaged'].map((id) => join(dir, `${id}.json`));
  for (const path of paths) await writeFile(path, text('x', { version: 2 }));
  await writeFile(join(dir, 'damaged.json'), '');
  await writeFile(join(dir, 'good.json'), text('good'));
  const records = await RecordDirectory.open(dir, counters);
  for (const id of ['a', 'damaged', 'good']) {
    await writeFile(join(dir, `${id}.json`), text(id, { count: 8 }));
  }
  await records.retry(['b', 'damaged', 'good']);
  assert.equal([...records.damaged.keys()].toSorted(), ['a', 'b', 'damaged']);
  await rm(join(dir, 'b.json'));
  await records.retry();
  assert.equal([...records.damaged.keys()], ['damaged']);
  assert.equal([records.get('a'), records.get('good')], [{ count: 8 }, { count: 7 }]);
  assert.equal(records.ids().toSorted(), ['a', 'damaged', 'good']);
});

test('are written into reserved space on request', async ({ dir }) => {
  const written: (readonly [string, string])[] = [];
  const reserve = {
    write: async (path: string, content: string) => void written.push([path, content]),
  };
  const records = await RecordDirectory.open(dir, counters);
  await records.put('a', { count: 1 }, { reserve });
  assert.equal(written, [[join(dir, 'a.json'), '{"version":1,"count":1}\n']]);
  assert.equal([await readdir(dir), records.get('a')], [[], { count: 1 }]);
});

test('that are keys are overwritten when they are replaced, deleted or read', async ({ dir }) => {
  const contents: Buffer[] = [];
  const parse = (content: Buffer): string => {
    contents.push(content);
    return content.toString('latin1');
  };
  const path = join(dir, 'a.key');
  await writeFile(path, 'secret');
  const records = await RecordDirectory.open(dir, { ...keys, parse });
  assert.is(records.get('a'), 'secret');
  assert.equal(contents, [Buffer.alloc(6)]);
  await using first = await open(path);
  const content = Buffer.from('other');
  assert.is(await records.putSecret('a', content), 'other');
  assert.equal([records.get('a'), await readFile(path, 'utf8')], ['other', 'other']);
  assert.is(content.toString(), 'other', 'wiped by the caller');
  assert.equal(await first.readFile(), Buffer.alloc(6));
  await using second = await open(path);
  await records.delete('a');
  assert.equal(await second.readFile(), Buffer.alloc(5));
  assert.match(await failureOf(records.put('a', 'new')), 'TypeError');
  assert.equal(records.ids(), []);
  const formatted = { ...keys, format: (value: string) => value };
  const withFormat = await RecordDirectory.open(dir, formatted);
  assert.match(await failureOf(withFormat.put('a', 'new')), 'TypeError', 'not overwritten');
});

test('that are keys are not replaced by unreadable content', async ({ dir }) => {
  const parse = (content: Buffer): string => {
    if (content.includes('?')) throw new DamagedFile('', 'it is in doubt');
    return content.toString('latin1');
  };
  await writeFile(join(dir, 'a.key'), 'secret');
  const records = await RecordDirectory.open(dir, { ...keys, parse });
  assert.match(await failureOf(records.putSecret('a', Buffer.from('?'))), 'it is in doubt');
  assert.equal(
    [records.get('a'), await readFile(join(dir, 'a.key'), 'utf8')],
    ['secret', 'secret'],
  );
});

test('are damaged when a later check fails, until they are replaced', async ({ dir }) => {
  const { signal } = new AbortController();
  await writeFile(join(dir, 'a.json'), text('a'));
  await writeFile(join(dir, 'b.json'), text('b', { count: 8 }));
  await writeFile(join(dir, 'damaged.json'), '');
  const records = await RecordDirectory.open(dir, counters);
  const checked: number[] = [];
  const check = ({ count }: Counter): void => {
    checked.push(count);
    if (count === 7) throw new Error('it is odd');
  };
  assert.equal(
    [await records.verify(check, signal), checked.toSorted((one, other) => one - other)],
    [['a'], [7, 8]],
  );
  assert.match(records.damage('a')?.message ?? '', /a\.json is damaged: it is odd/);
  assert.equal(
    [records.get('a'), await readFile(join(dir, 'a.json'), 'utf8')],
    [undefined, text('a')],
  );
  assert.equal([await records.verify(check, signal), checked.length], [[], 3]);
  await records.put('a', { count: 9 });
  assert.equal([...records.damaged.keys()], ['damaged']);
  const verified = records.verify(check, signal);
  records[Symbol.dispose]();
  assert.equal([await verified, checked.length], [[], 3], 'deleted meanwhile');
});

test('are removed from memory when they are closed', async ({ dir }) => {
  const records = await RecordDirectory.open(dir, counters);
  await records.put('a', { count: 1 });
  records[Symbol.dispose]();
  assert.equal([records.ids(), await readdir(dir)], [[], ['a.json']]);
});

test('are not read through links', async ({ dir }) => {
  await writeFile(join(dir, 'target'), text('a'));
  await symlink(join(dir, 'target'), join(dir, 'a.json'));
  const records = await RecordDirectory.open(dir, counters);
  assert.match(records.damage('a')?.message ?? '', 'ELOOP');
});

test('that are FIFOs are damaged, and nothing waits for their writers', async ({ dir }) => {
  execFileSync('mkfifo', [join(dir, 'a.json')]);
  const records = await RecordDirectory.open(dir, counters);
  assert.match(records.damage('a')?.message ?? '', 'it is empty');
});

if (process.geteuid?.() === 0) {
  test('are all damaged in the directory of another user, until that is repaired', async ({
    dir,
  }) => {
    const path = join(dir, 'theirs');
    await (await RecordDirectory.open(path, counters)).put('a', { count: 1 });
    await writeFile(join(path, 'a.json'), text('a'));
    await chown(path, 12_345, 0);
    const records = await RecordDirectory.open(path, counters);
    assert.instance(records.failure, UnusableFile);
    assert.equal([records.ids(), records.damaged.size], [[], 0]);
    assert.is(records.damage('any'), records.failure);
    assert.throws(() => records.assertListed(), /belongs to another user/);
    await rename(path, join(dir, 'away'));
    await chown(join(dir, 'away'), 0, 0);
    await rename(join(dir, 'away'), path);
    await records.retry([]);
    assert.equal([records.failure, records.damage('any')], [undefined, undefined]);
    assert.equal(records.get('a'), { count: 7 });
    records.assertListed();
  });
}

test.run();
