import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { renamedOf } from '../../../src/modules/docker/inspect.ts';

type Listed = Parameters<typeof renamedOf>[0][number];

const test = suite('containers that were renamed');

function listed(id: string, module: string, ...names: readonly string[]): Listed {
  const Labels = { 'org.iotedge.module': module };
  const Names = names.map((name) => `/${name}`);
  return { Id: id, Labels, Names } as unknown as Listed; // all that is read
}

const find = (found: readonly Listed[], knownId?: string) =>
  renamedOf(found, { name: 'sensor', knownId })?.id;

test('are found by their label, or by their id', () => {
  assert.is(find([listed('1', 'filter', 'filter'), listed('2', 'sensor', 'other')]), '2');
  assert.is(find([listed('1', '', 'other')], '1'), '1');
});

test('are not found where none has another name', () => {
  assert.is(find([listed('1', 'sensor', 'sensor'), listed('2', 'filter', 'other')]), undefined);
  assert.is(find([listed('1', 'sensor')]), undefined);
});

test('are found among several only by their id', () => {
  const two = [listed('1', 'sensor', 'a'), listed('2', 'sensor', 'b')];
  assert.is(find(two), undefined);
  assert.is(find(two, '3'), undefined);
  assert.is(find(two, '2'), '2');
});

test.run();
