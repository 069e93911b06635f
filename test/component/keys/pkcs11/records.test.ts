import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseKeyId } from '../../../../src/ids.ts';
import {
  openTokenKeyRecords,
  type TokenKeyRecord,
  type TokenKeyRecords,
} from '../../../../src/keys/pkcs11/records.ts';
import { failureOf } from '../../../support/failure.ts';

const test = suite('records of keys in tokens');
const id = parseKeyId('module/base');

const previous: TokenKeyRecord = {
  id,
  ckaId: '0102',
  algorithm: 'hmac-sha256',
  usages: ['sign'],
  origin: 'generated',
  exportDerived: false,
  created: new Date('2026-01-02T03:04:05.006Z'),
  pending: undefined,
};
const record: TokenKeyRecord = {
  ...previous,
  ckaId: '0304',
  algorithm: 'aes-256',
  usages: ['encrypt', 'derive'],
  origin: 'imported',
  exportDerived: true,
  pending: { replaces: '0102', previous },
};
const stored = {
  version: 1,
  id,
  cka_id: '0304',
  algorithm: 'hmac-sha256',
  usages: ['sign'],
  origin: 'generated',
  export_derived: false,
  created: '2026-01-02T03:04:05.006Z',
};

/** A directory of records; `reopen` reads it as the next process does. */
class Rig implements AsyncDisposable {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async start(): Promise<Rig> {
    return new Rig(await mkdtemp(join(tmpdir(), 'iotedge-records-')));
  }

  reopen(): Promise<TokenKeyRecords> {
    return openTokenKeyRecords(this.directory);
  }

  /** The records after a process has left this in place of the one of `id`. */
  async with(fields: object): Promise<TokenKeyRecords> {
    if ((await readdir(this.directory)).length === 0) await (await this.reopen()).put(id, record);
    const [name = ''] = await readdir(this.directory);
    await writeFile(join(this.directory, name), JSON.stringify(fields));
    return this.reopen();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.directory, { recursive: true });
  }
}

test('are the same after a restart, with pending changes', async () => {
  await using rig = await Rig.start();
  await (await rig.reopen()).put(id, record);
  const records = await rig.reopen();
  assert.equal(records.get(id), record);
  assert.equal(records.values(), [record]);
  await records.put(id, { ...record, pending: undefined });
  assert.equal((await rig.reopen()).get(id), { ...record, pending: undefined });
  await records.delete(id);
  assert.is(records.get(id), undefined);
  assert.equal((await rig.reopen()).values(), []);
  assert.equal(await readdir(rig.directory), []);
});

test('make derived keys exportable only where they declare it explicitly', async () => {
  await using rig = await Rig.start();
  for (const value of [undefined, null, 'true', 1, {}]) {
    const records = await rig.with({ ...stored, export_derived: value });
    assert.is(records.get(id)?.exportDerived, false, JSON.stringify(value));
  }
  assert.is((await rig.with({ ...stored, export_derived: true })).get(id)?.exportDerived, true);
});

test('are damaged, and describe no key, when they belong to another one or are incomplete', async () => {
  await using rig = await Rig.start();
  const cases = [
    { ...stored, version: 0 },
    { ...stored, id: 'another' },
    { ...stored, cka_id: undefined },
    { ...stored, cka_id: 4 },
    { ...stored, algorithm: 'aes-128' },
    { ...stored, algorithm: 'ec-p256' },
    { ...stored, usages: undefined },
    { ...stored, usages: ['fly'] },
    { ...stored, origin: 'foreign' },
    { ...stored, created: 'yesterday' },
    { ...stored, pending: { previous: { ...stored, id: 'another' } } },
  ];
  for (const fields of cases) {
    const records = await rig.with(fields);
    const what = JSON.stringify(fields);
    assert.is(records.get(id), undefined, what);
    assert.ok(records.damage(id), what);
    assert.equal([...records.damaged.keys()], [id], what);
    assert.equal(records.values(), []);
  }
  const mended = await rig.with(stored);
  assert.is(mended.damage(id), undefined);
  assert.is(mended.get(id)?.ckaId, '0304');
});

test('of a newer version of the program are neither replaced nor removed', async () => {
  await using rig = await Rig.start();
  const records = await rig.with({ ...stored, version: 2 });
  const [name = ''] = await readdir(rig.directory);
  const before = await readFile(join(rig.directory, name), 'utf8');
  assert.is(await failureOf(records.put(id, record)), 'Unavailable');
  assert.is(await failureOf(records.delete(id)), 'Unavailable');
  assert.is(records.get(id), undefined);
  assert.is(await readFile(join(rig.directory, name), 'utf8'), before);
});

test.run();
