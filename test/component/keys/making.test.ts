/** Keys that are created, replaced or removed under an id, and their published objects. */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseKeyId } from '../../../src/ids.ts';
import { soon } from '../../support/deadline.ts';
import { failureOf } from '../../support/failure.ts';
import { FileKeys } from '../../support/keys/file-keys.ts';

const test = suite<{ keys: FileKeys }>('making and removing keys');
const text = Buffer.from('text');

test.before.each(async (context) => {
  context.keys = await FileKeys.start();
});
test.after.each(async ({ keys }) => {
  await keys[Symbol.asyncDispose]();
});

/** The changes on the bus from now on, in order. */
function publishedBy({ objects }: FileKeys): string[] {
  const published: string[] = [];
  const put = objects.put.bind(objects);
  const remove = objects.remove.bind(objects);
  objects.put = (id, shown) => {
    published.push(`put ${id} ${shown.Algorithm}`);
    put(id, shown);
  };
  objects.remove = (id) => {
    published.push(`remove ${id}`);
    remove(id);
  };
  return published;
}

test('creates the requested keys, and by default none that can be exported', async ({ keys }) => {
  await keys.createPair('default', '', []);
  await keys.createPair('both', 'rsa-2048', ['decrypt', 'sign']);
  await keys.createKey('box', 'aes-256', []);
  await keys.createKey('base', 'hmac-sha256', ['derive', 'sign'], { export_derived: true });
  await keys.createKey('open', 'hmac-sha256', [], { exportable: true });
  const ed = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'der' });
  await keys.import('imported', ed, '', []);
  const found = async (id: string) => {
    const { info } = await keys.service.require(parseKeyId(id), soon());
    return [
      info.kind,
      info.algorithm,
      info.usages.join(),
      info.origin,
      info.exportable,
      info.exportDerived,
    ];
  };
  assert.equal(await found('default'), ['pair', 'ec-p256', 'sign', 'generated', false, false]);
  assert.equal(await found('both'), [
    'pair',
    'rsa-2048',
    'sign,decrypt',
    'generated',
    false,
    false,
  ]);
  assert.equal(await found('box'), ['symmetric', 'aes-256', 'encrypt', 'generated', false, false]);
  const base = ['symmetric', 'hmac-sha256', 'sign,derive', 'generated', false, true];
  assert.equal(await found('base'), base);
  const open = ['symmetric', 'hmac-sha256', 'sign', 'generated', true, false];
  assert.equal(await found('open'), open);
  assert.equal(await found('imported'), ['pair', 'ed25519', 'sign', 'imported', false, false]);
  const made = await keys.service.require(parseKeyId('default'), soon());
  const age = Date.now() - (made.info.created?.getTime() ?? 0);
  assert.ok(age >= 0 && age < 60_000);
});

test('keeps an existing key only when it matches in every respect', async ({ keys }) => {
  const keep = { if_exists: 'keep' };
  await keys.createPair('pair', 'ec-p256', ['sign']);
  await keys.createKey('base', 'hmac-sha256', ['sign', 'derive'], { export_derived: true });
  const before = await keys.publicKey('pair');
  await keys.createPair('pair', '', [], keep);
  await keys.createPair('pair', 'ec-p256', ['sign'], { ...keep, store: 'file' });
  await keys.createKey('base', 'hmac-sha256', ['derive', 'sign'], {
    ...keep,
    export_derived: true,
  });
  for (const [what, make] of [
    ['fail by default', () => keys.createPair('pair', 'ec-p256', [])],
    ['fail', () => keys.createPair('pair', 'ec-p256', [], { if_exists: 'fail' })],
    ['another algorithm', () => keys.createPair('pair', 'ec-p384', [], keep)],
    ['exportable', () => keys.createPair('pair', 'ec-p256', [], { ...keep, exportable: true })],
    ['another store', () => keys.createPair('pair', 'ec-p256', [], { ...keep, store: 'pkcs11' })],
    ['another kind', () => keys.createKey('pair', 'hmac-sha256', [], keep)],
    ['no base key', () => keys.createKey('base', 'hmac-sha256', ['sign'], keep)],
    ['no export', () => keys.createKey('base', 'hmac-sha256', ['sign', 'derive'], keep)],
    [
      'an import',
      () =>
        keys.import('base', randomBytes(32), 'hmac-sha256', ['sign', 'derive'], {
          ...keep,
          export_derived: true,
        }),
    ],
  ] as const) {
    assert.is(await failureOf(make()), 'AlreadyExists', what);
  }
  const replace = { if_exists: 'replace' };
  assert.is(await failureOf(keys.createPair('pair', 'ec-p256', [], replace)), 'InvalidArgs');
  assert.is(await failureOf(keys.createKey('base', 'hmac-sha256', [], replace)), 'InvalidArgs');
  assert.is(
    await failureOf(keys.createKey('new', 'aes-256', [], { store: 'pkcs11' })),
    'NotSupported',
  );
  assert.equal(await keys.publicKey('pair'), before);
  await keys.createPair('rsa', 'rsa-2048', ['sign', 'decrypt']);
  const fewer = keys.createPair('rsa', 'rsa-2048', ['sign'], keep);
  assert.is(await failureOf(fewer), 'AlreadyExists');
  await keys.createPair('signs', 'rsa-2048', ['sign']);
  const more = keys.createPair('signs', 'rsa-2048', ['sign', 'decrypt'], keep);
  assert.is(await failureOf(more), 'AlreadyExists');
  assert.is(
    await failureOf(keys.createPair('signs', 'rsa-2048', ['decrypt'], keep)),
    'AlreadyExists',
  );
});

test('replaces a key only by an import, and leaves nothing of the old one', async ({ keys }) => {
  await keys.createPair('id', 'ec-p256', []);
  const bytes = randomBytes(32);
  const given = ['id', bytes, 'hmac-sha256', []] as const;
  assert.is(await failureOf(keys.import('id', bytes, 'hmac-sha256', [])), 'AlreadyExists');
  await keys.import('id', bytes, 'hmac-sha256', [...given[3]], {
    if_exists: 'replace',
    exportable: true,
  });
  assert.equal(await keys.export('id', 'raw'), bytes);
  assert.is(await failureOf(keys.publicKey('id')), 'NotSupported');
  assert.is(await failureOf(keys.sign('id', 'ecdsa-sha256', text)), 'NotSupported');
  // a key of another kind is another object
  assert.equal(keys.objects.announced(), [
    'InterfacesAdded /org/iotedge/Keys1/key/id',
    'InterfacesRemoved /org/iotedge/Keys1/key/id',
    'InterfacesAdded /org/iotedge/Keys1/key/id',
  ]);
});

test('distinguishes ids by every letter and its case', async ({ keys }) => {
  const ids = ['Key', 'key', 'kEy', 'key/a', 'key.a', 'key:a', 'key$a', 'key@a', 'key-a', 'key_a'];
  for (const id of ids) await keys.createPair(id, 'ec-p256', []);
  const publics = await Promise.all(ids.map((id) => keys.publicKey(id)));
  assert.is(new Set(publics.map((spki) => spki.toString('hex'))).size, ids.length);
  await keys.delete('Key');
  assert.is(await failureOf(keys.publicKey('Key')), 'NotFound');
  assert.equal(await keys.publicKey('key'), publics[1]);
});

test('creates one key for concurrent requests with one id, and publishes it once', async ({
  keys,
}) => {
  const published = publishedBy(keys);
  const make = () => failureOf(keys.createKey('id', 'hmac-sha256', []));
  const results = await Promise.all(Array.from({ length: 8 }, make));
  assert.equal(results.sort(), [...Array<string>(7).fill('AlreadyExists'), 'no failure']);
  assert.equal(published, ['put id hmac-sha256']);
  assert.not(keys.service.isChanging);
});

test('removes a key permanently, and returns NotFound from then on', async ({ keys }) => {
  const published = publishedBy(keys);
  await keys.createPair('id', 'ec-p256', []);
  const first = await keys.publicKey('id');
  await keys.delete('id');
  for (const use of [
    () => keys.publicKey('id'),
    () => keys.sign('id', 'ecdsa-sha256', text),
    () => keys.export('id', 'pkcs8'),
    () => keys.delete('id'),
  ]) {
    assert.is(await failureOf(use()), 'NotFound');
  }
  await keys.createPair('id', 'ec-p256', []);
  assert.not.equal(await keys.publicKey('id'), first);
  assert.equal(published, ['put id ec-p256', 'remove id', 'put id ec-p256']);
});

test('does not change preloaded ids', async () => {
  const preloaded = { mine: { path: '/nonexistent', usages: undefined } };
  await using keys = await FileKeys.start(preloaded);
  for (const change of [
    () => keys.createPair('mine', '', []),
    () => keys.createKey('mine', 'aes-256', [], { if_exists: 'keep' }),
    () => keys.import('mine', randomBytes(32), 'aes-256', [], { if_exists: 'replace' }),
    () => keys.delete('mine'),
  ]) {
    assert.is(await failureOf(change()), 'NotSupported');
  }
});

test('publishes the differences of a listing, such as keys of other processes', async ({
  keys,
}) => {
  const published = publishedBy(keys);
  await keys.createKey('one', 'aes-256', []);
  await keys.service.refresh(soon());
  assert.equal(published, ['put one aes-256', 'put one aes-256']);
  const { Health, LastError } = keys.objects.properties;
  assert.equal([Health, LastError], ['ok', '']);
});

test('continues with an id after a change to it failed', async ({ keys }) => {
  const path = join(keys.directory, 'keys', 'id.key');
  await mkdir(path);
  const failed = await failureOf(keys.createKey('id', 'aes-256', []));
  assert.is.not(failed, 'no failure');
  await rmdir(path);
  await keys.createKey('id', 'aes-256', []);
});

test.run();
