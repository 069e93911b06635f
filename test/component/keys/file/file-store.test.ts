import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtemp, open, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type KeyId, parseKeyId } from '../../../../src/ids.ts';
import type { PreloadedFile } from '../../../../src/keys/file/preloaded.ts';
import { FileStore } from '../../../../src/keys/file/store.ts';
import { parseSignMechanism, parseSignRequest } from '../../../../src/keys/mechanism.ts';
import { soon } from '../../../support/deadline.ts';
import { failureOf } from '../../../support/failure.ts';
import {
  forSigning,
  infoIn,
  keyStoreContract,
  withKey,
} from '../../../support/keys/key-store-contract.ts';

async function temporary(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'iotedge-files-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

const id = parseKeyId('device-id');
const hmac = parseSignRequest(parseSignMechanism('hmac-sha256'), Buffer.from('m'), false);

const test = suite('FileStore');

for (const damage of ['truncate', 'empty', 'flip', 'text'] as const) {
  test(`preserves a damaged key, and creates none in its place (${damage})`, async () => {
    await using place = await temporary();
    await using first = await FileStore.open(place.path);
    await first.createSymmetric(id, 'hmac-sha256', forSigning);
    const [name = ''] = await readdir(place.path);
    const path = join(place.path, name);
    const bytes = await readFile(path);
    if (damage === 'truncate') await truncate(path, bytes.length - 1);
    if (damage === 'empty') await truncate(path, 0);
    if (damage === 'text') await writeFile(path, 'something else\n');
    if (damage === 'flip') {
      bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1;
      await writeFile(path, bytes);
    }
    const damaged = await readFile(path);

    await using store = await FileStore.open(place.path);
    assert.is((await infoIn(store, id))?.state, 'damaged');
    assert.is(await failureOf(withKey(store, id, (key) => key.sign(hmac, soon()))), 'Unavailable');
    const again = store.createSymmetric(id, 'hmac-sha256', forSigning);
    assert.is(await failureOf(again), 'AlreadyExists');
    const material = { kind: 'raw', algorithm: 'hmac-sha256', bytes: randomBytes(32) } as const;
    assert.is(await failureOf(store.importKey(id, material, forSigning)), 'AlreadyExists');
    assert.equal(await readFile(path), damaged);
    await withKey(store, id, (key) => key.delete(soon()));
    await store.createSymmetric(id, 'hmac-sha256', forSigning);
  });
}

test('hides the file of an id that is preloaded, without reading it', async () => {
  await using place = await temporary();
  const path = join(place.path, 'raw');
  await writeFile(path, randomBytes(32));
  const directory = join(place.path, 'keys');
  {
    await using hidden = await FileStore.open(directory);
    await hidden.createPair(id, ['ec-p256'], forSigning);
  }
  const [name = ''] = await readdir(directory);
  await truncate(join(directory, name), 1);
  const preloaded = new Map<KeyId, PreloadedFile>([[id, { path, usages: undefined }]]);
  await using store = await FileStore.open(directory, preloaded);
  const { keys } = await store.list();
  assert.equal(
    keys.map(({ algorithm, state }) => [algorithm, state]),
    [['hmac-sha256', 'ok']],
  );
  await withKey(store, id, async (key) => {
    await key.sign(hmac, soon());
    assert.is(await failureOf(key.delete(soon())), 'NotSupported');
  });
  const material = { kind: 'raw', algorithm: 'hmac-sha256', bytes: randomBytes(32) } as const;
  assert.is(await failureOf(store.importKey(id, material, forSigning)), 'NotSupported');
  assert.is((await stat(join(directory, name))).size, 1);
});

test('writes files that only their owner can read', async () => {
  await using place = await temporary();
  await using store = await FileStore.open(join(place.path, 'keys'));
  await store.createPair(parseKeyId('a/b'), ['ec-p256'], forSigning);
  assert.is((await stat(join(place.path, 'keys'))).mode & 0o777, 0o700);
  const names = await readdir(join(place.path, 'keys'));
  assert.is(names.length, 1);
  assert.is((await stat(join(place.path, 'keys', names[0] ?? ''))).mode & 0o777, 0o600);
});

test('overwrites the key that an import replaces', async () => {
  await using place = await temporary();
  await using store = await FileStore.open(place.path);
  await store.createSymmetric(id, 'hmac-sha256', forSigning);
  const [name = ''] = await readdir(place.path);
  await using old = await open(join(place.path, name));
  const { size } = await old.stat();
  const bytes = randomBytes(32);
  const material = { kind: 'raw', algorithm: 'hmac-sha256', bytes } as const;
  await store.importKey(id, material, forSigning);
  assert.equal(await old.readFile(), Buffer.alloc(size));
  assert.equal((await readFile(join(place.path, name))).subarray(-32), bytes);
});

test('exports its keys', async () => {
  await using place = await temporary();
  await using store = await FileStore.open(place.path);
  const bytes = randomBytes(32);
  const material = { kind: 'raw', algorithm: 'hmac-sha256', bytes } as const;
  await store.importKey(id, material, { ...forSigning, exportable: true });
  assert.equal(await withKey(store, id, (key) => key.export(soon())), bytes);
  assert.is((await infoIn(store, id))?.exportable, true);
});

test('offers the files that the configuration names, and reports unreadable ones', async () => {
  await using place = await temporary();
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const path = (name: string) => join(place.path, name);
  await writeFile(path('pair.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }));
  await writeFile(path('pair.der'), privateKey.export({ type: 'pkcs8', format: 'der' }));
  const mixed = privateKey.export({ type: 'pkcs8', format: 'der' });
  // the last byte of the private number: the public point follows it
  mixed[mixed.length - 71] = (mixed[mixed.length - 71] ?? 0) ^ 1;
  await writeFile(path('mixed'), mixed);
  await writeFile(path('raw'), randomBytes(32));
  await writeFile(path('short'), randomBytes(3));
  const file = (name: string) => ({ path: path(name), usages: undefined });
  const preloaded = new Map<KeyId, PreloadedFile>([
    [parseKeyId('pem'), file('pair.pem')],
    [parseKeyId('der'), file('pair.der')],
    [parseKeyId('mac'), file('raw')],
    [parseKeyId('aes'), { path: path('raw'), usages: ['encrypt', 'derive'] }],
    [parseKeyId('pair-base'), { path: path('pair.der'), usages: ['sign', 'derive'] }],
    [parseKeyId('mac-alone'), { path: path('raw'), usages: ['sign', 'decrypt'] }],
    [parseKeyId('short'), file('short')],
    [parseKeyId('mixed'), file('mixed')],
    [parseKeyId('absent'), file('nothing')],
  ]);
  await using store = await FileStore.open(join(place.path, 'keys'), preloaded);
  const { keys } = await store.list();
  assert.equal(
    keys.map((key) => [key.id, key.algorithm, key.usages.join(), key.state]),
    [
      ['pem', 'ec-p256', 'sign', 'ok'],
      ['der', 'ec-p256', 'sign', 'ok'],
      ['mac', 'hmac-sha256', 'sign', 'ok'],
      ['aes', 'aes-256', 'encrypt,derive', 'ok'],
      ['pair-base', undefined, '', 'unavailable'],
      ['mac-alone', 'hmac-sha256', 'sign', 'ok'],
      ['short', undefined, '', 'unavailable'],
      ['mixed', undefined, '', 'unavailable'],
      ['absent', undefined, '', 'unavailable'],
    ],
  );
  assert.is(
    await failureOf(withKey(store, parseKeyId('pem'), (key) => key.delete(soon()))),
    'NotSupported',
  );
  assert.is(
    await failureOf(withKey(store, parseKeyId('absent'), (key) => key.sign(hmac, soon()))),
    'Unavailable',
  );
});

test.run();

keyStoreContract('FileStore', async () => {
  const place = await temporary();
  return {
    open: () => FileStore.open(place.path),
    [Symbol.asyncDispose]: () => place[Symbol.asyncDispose](),
  };
});
