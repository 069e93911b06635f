import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Fields } from '../../../../src/service/log/log-record.ts';
import { PendingOperationFiles } from '../../../../src/service/operations/pending-operation-files.ts';
import { recordingLog } from '../../../support/log.ts';

const test = suite<{ dir: string }>('files of pending operations');

test.before.each(async (context) => {
  context.dir = join(await mkdtemp(join(tmpdir(), 'iotedge-operations-')), 'operations');
});
test.after.each(async ({ dir }) => {
  await rm(join(dir, '..'), { recursive: true });
});

/** A log that records the errors. */
function logOf() {
  const errors: (readonly [string, Fields])[] = [];
  const log = recordingLog(({ level, message, fields }) => {
    if (level === 'error') errors.push([message, fields]);
  });
  return { errors, log };
}

test('are read as they were saved, whatever the id, and removed when deleted', async ({ dir }) => {
  const { log, errors } = logOf();
  const files = new PendingOperationFiles(dir);
  assert.equal(await files.readAll(log), []);
  const operations = ['', '$edgeAgent', 'iotedge/certificate/a', 'a:b@c', 'self'].map((id, at) => ({
    id,
    verb: `Verb${at}`,
    args: { at, list: [1], nothing: null },
  }));
  for (const operation of operations) await files.save(operation);
  const names = await readdir(dir);
  assert.is(names.length, operations.length);
  assert.ok(names.includes('@self.json'));
  const read = await new PendingOperationFiles(dir).readAll(log);
  const byId = (one: { readonly id: string }, two: { readonly id: string }) =>
    one.id < two.id ? -1 : 1;
  assert.equal(read.toSorted(byId), operations.toSorted(byId));
  await files.save({ id: '', verb: 'Other', args: {} });
  await files.delete('self');
  const left = await new PendingOperationFiles(dir).readAll(log);
  assert.is(left.length, 4);
  assert.is(left.find(({ id }) => id === '')?.verb, 'Other');
  assert.equal([files.problems, errors], [[], []]);
});

test('that are unreadable are reported and preserved, until their operation is saved or ends', async ({
  dir,
}) => {
  const { log, errors } = logOf();
  const files = new PendingOperationFiles(dir);
  await files.readAll(log);
  const contents = {
    'a.json': '',
    'b.json': '{"version":1,"args":{}}',
    'c.json': '{"version":1,"verb":7}',
    'd.json': '{"version":2,"verb":"Grow"}',
    'e.json': '{"version":1,"verb":"Grow"}',
    'notes.txt': 'x',
  };
  for (const [name, content] of Object.entries(contents)) {
    await writeFile(join(dir, name), content, { mode: 0o600 });
  }
  const read = await files.readAll(log);
  assert.equal(read, [{ id: 'e', verb: 'Grow', args: undefined }]);
  assert.is(files.problems.length, 4);
  for (const [at, name] of ['a', 'b', 'c', 'd'].entries()) {
    assert.match(files.problems[at] ?? '', join(dir, `${name}.json`));
    assert.equal(
      [errors[at]?.[0], errors[at]?.[1]?.['id']],
      ['pending operation unreadable', name],
    );
  }
  for (const [name, content] of Object.entries(contents)) {
    assert.is(await readFile(join(dir, name), 'utf8'), content, name);
  }
  await files.save({ id: 'a', verb: 'Grow', args: {} });
  await files.delete('b');
  assert.is(files.problems.length, 2);
  assert.match(files.problems[0] ?? '', 'c.json');
  await files.save({ id: 'd', verb: 'Grow', args: {} }).catch(() => undefined);
  // the file of a newer version is not replaced
  assert.is(await readFile(join(dir, 'd.json'), 'utf8'), contents['d.json']);
});

test('that free space are written into the reserve, and others are not', async ({ dir }) => {
  const written: (readonly [string, string])[] = [];
  const disk = {
    write: async (path: string, content: Uint8Array | string) => {
      written.push([path, content.toString()]);
    },
  };
  const files = new PendingOperationFiles(dir, { disk, frees: new Set(['Delete']) });
  await files.readAll(logOf().log);
  await files.save({ id: 'a', verb: 'Create', args: {} });
  assert.equal(written, []);
  await files.save({ id: 'b', verb: 'Delete', args: { adopt: true } });
  const [[path, content] = ['', '']] = written;
  assert.equal([written.length, path], [1, join(dir, 'b.json')]);
  assert.equal(JSON.parse(content), { version: 1, verb: 'Delete', args: { adopt: true } });
  assert.equal(await readdir(dir), ['a.json']);
});

test.run();
