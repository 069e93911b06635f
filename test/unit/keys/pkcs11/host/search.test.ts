import * as assert from 'uvu/assert';
import type { Calls } from '../../../../../src/keys/pkcs11/host/calls.ts';
import { CkrError } from '../../../../../src/keys/pkcs11/host/failures.ts';
import { Search } from '../../../../../src/keys/pkcs11/host/search.ts';
import type { Handle } from '../../../../../src/keys/pkcs11/protocol/values.ts';
import { suite } from '../../../../support/timed-suite.ts';

const test = suite('a search in a token');
const session = Buffer.of(1);

/** A token with a number of objects, whose attributes a function reads. */
function open(count: number, read: (types: readonly number[]) => readonly (Buffer | undefined)[]) {
  const ends: string[] = [];
  const reads: (readonly number[])[] = [];
  let left = count;
  const api = {
    C_FindObjectsInit: () => {
      left = count;
    },
    C_FindObjects: (_session: Handle, most: number) => {
      const some = Math.min(most, left);
      left -= some;
      return Array.from({ length: some }, () => Buffer.of(1));
    },
    C_FindObjectsFinal: () => void ends.push('end'),
    C_GetAttributeValue: (_session: Handle, _object: Handle, types: readonly number[]) => {
      reads.push(types);
      return read(types);
    },
  };
  return { api, ends, reads, search: new Search(api as unknown as Calls, session) }; // the calls of a search
}

const failureOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'no failure',
    (error: unknown) => String(error),
  );

test('finds every object, however many there are, and ends', async () => {
  for (const count of [0, 3, 64, 65, 200, 10_000]) {
    const { search, ends } = open(count, () => []);
    assert.is((await search.find({ template: [], attributes: [] })).length, count);
    assert.is(ends.length, 1);
  }
});

test('ends also when it fails', async () => {
  const { search, ends, api } = open(1, () => []);
  api.C_FindObjects = () => {
    throw new CkrError('CKR_DEVICE_ERROR', 'C_FindObjects');
  };
  assert.match(await failureOf(search.find({ template: [], attributes: [] })), 'CKR_DEVICE_ERROR');
  assert.is(ends.length, 1);
});

test('fails when a token finds objects for ever, or too large ones', async () => {
  const query = { template: [], attributes: [] };
  for (const count of [10_100, Number.POSITIVE_INFINITY]) {
    const endless = open(count, () => []);
    assert.match(await failureOf(endless.search.find(query)), 'more than 10000 objects');
    assert.is(endless.ends.length, 1);
  }
  const large = open(100, () => [Buffer.alloc(1 << 20)]);
  assert.match(await failureOf(large.search.find({ ...query, attributes: [1] })), '15 MiB');
});

test('counts the attributes of all its queries', async () => {
  const { search } = open(10, () => [Buffer.alloc(1 << 20)]);
  const query = { template: [], attributes: [1] };
  await search.find(query);
  assert.match(await failureOf(search.find(query)), '15 MiB');
});

test('reads all attributes with one call where an object has them', async () => {
  const values = [Buffer.of(1), Buffer.of(2)];
  const { search, reads } = open(2, () => values);
  const found = await search.find({ template: [], attributes: [7, 8] });
  assert.equal(
    found.map((object) => object.values),
    [values, values],
  );
  assert.equal(reads, [
    [7, 8],
    [7, 8],
  ]);
});

test('treats an attribute as absent only where the object does not have or reveal it', async () => {
  const without = (name: string) =>
    open(1, (types) => {
      if (types.includes(8)) throw new CkrError(name, 'C_GetAttributeValue');
      return types.map((type) => Buffer.of(type));
    }).search;
  for (const name of ['CKR_ATTRIBUTE_TYPE_INVALID', 'CKR_ATTRIBUTE_SENSITIVE']) {
    const [found] = await without(name).find({ template: [], attributes: [7, 8, 9] });
    assert.equal(found?.values, [Buffer.of(7), undefined, Buffer.of(9)]);
    assert.equal(await without(name).read([session], 8), [undefined]);
  }
  for (const name of ['CKR_OBJECT_HANDLE_INVALID', 'CKR_DEVICE_ERROR', 'CKR_SESSION_CLOSED']) {
    assert.match(await failureOf(without(name).read([session], 8)), name);
  }
});

test('lets other requests run when the token is slow', async () => {
  let turns = 0;
  const count = () => void turns++;
  const { search } = open(4, () => {
    const until = performance.now() + 25;
    while (performance.now() < until);
    return [];
  });
  const timer = setInterval(count, 1);
  await search.find({ template: [], attributes: [1] });
  clearInterval(timer);
  assert.ok(turns >= 2, `${turns}`);
});

test.run();
