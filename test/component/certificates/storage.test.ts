/** Records of certificates on the disk. */
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Storage } from '../../../src/certificates/storage.ts';
import { parseCertificateId } from '../../../src/ids.ts';
import { encodeCertificatesPem } from '../../../src/x509/certificate.ts';
import { failureOf } from '../../support/failure.ts';
import { makeCa, makeKey } from '../../support/x509/openssl.ts';

const test = suite<{ directory: string }>('records of certificates');
const one = await makeCa({ name: 'CN=one', key: makeKey('ed25519') });
const two = await makeCa({ name: 'CN=two', key: makeKey('ed25519') });
const replacing = { keyId: '', replaces: true };

test.before.each(async (context) => {
  context.directory = await mkdtemp(join(tmpdir(), 'iotedge-certificate-records-'));
});
test.after.each(async ({ directory }) => {
  await rm(directory, { recursive: true, force: true });
});

const record = (fields: object = {}): string =>
  JSON.stringify({ version: 1, key_id: 'k', chain_pem: encodeCertificatesPem([one]), ...fields });

test('contain the chain, the id of the key and a version, readable only by the user of the service', async ({
  directory,
}) => {
  const storage = await Storage.open(directory);
  const held = await storage.put(parseCertificateId('a/b'), [one, two], {
    keyId: 'my-key',
    replaces: false,
  });
  assert.equal(held, { id: 'a/b', chain: [one, two], keyId: 'my-key', preloaded: false });
  assert.is(storage.get(parseCertificateId('a/b')), held);
  const [name = ''] = await readdir(directory);
  assert.equal(JSON.parse(await readFile(join(directory, name), 'utf8')), {
    version: 1,
    key_id: 'my-key',
    chain_pem: encodeCertificatesPem([one, two]),
  });
  assert.is((await stat(join(directory, name))).mode & 0o777, 0o600);
  const again = await Storage.open(directory);
  assert.equal(again.ids(), ['a/b']);
  assert.is(again.get(parseCertificateId('a/b'))?.keyId, 'my-key');
  assert.equal(
    again.get(parseCertificateId('a/b'))?.chain.map(({ fingerprint }) => fingerprint),
    [one.fingerprint, two.fingerprint],
  );
  assert.is(again.get(parseCertificateId('absent')), undefined);
  assert.is(again.failure, undefined);
});

test('that cannot be parsed are damaged and report the reason', async ({ directory }) => {
  const wrong: Readonly<Record<string, readonly [string, RegExp]>> = {
    'no-version': [record({ version: undefined }), /its version is undefined/],
    old: [record({ version: 0 }), /its version is 0/],
    text: [record({ version: '1' }), /its version is "1"/],
    'no-key': [record({ key_id: undefined }), /it lacks a field/],
    'no-chain': [record({ chain_pem: undefined }), /it lacks a field/],
    'empty-chain': [record({ chain_pem: '' }), /its chain holds no certificate/],
    list: ['[]', /its version is undefined/],
    nothing: ['null', /its version is undefined/],
    short: [record().slice(0, -9), /it is not JSON/],
    empty: ['', /it is empty/],
    newer: [record({ version: 2 }), /was written by a newer version/],
  };
  for (const [id, [text]] of Object.entries(wrong)) {
    await writeFile(join(directory, `${id}.json`), text);
  }
  await writeFile(join(directory, 'good.json'), record());
  const storage = await Storage.open(directory);
  for (const [id, [, reason]] of Object.entries(wrong)) {
    const held = storage.get(parseCertificateId(id));
    assert.match(held?.damage ?? 'whole', reason, id);
    assert.equal([held?.chain, held?.keyId], [[], ''], id);
  }
  assert.is(storage.get(parseCertificateId('good'))?.damage, undefined);
  assert.is(storage.ids().length, Object.keys(wrong).length + 1);
});

test('of a newer version are replaced only on request, and never misread', async ({
  directory,
}) => {
  const path = join(directory, 'x.json');
  await writeFile(path, record({ version: 2 }));
  const storage = await Storage.open(directory);
  const put = (replaces: boolean) =>
    storage.put(parseCertificateId('x'), [two], { keyId: '', replaces });
  assert.is(await failureOf(put(false)), 'Unavailable');
  assert.is(await readFile(path, 'utf8'), record({ version: 2 }));
  await put(true);
  assert.is(storage.get(parseCertificateId('x'))?.damage, undefined);
  await writeFile(path, record({ version: 2 }));
  await (await Storage.open(directory)).delete(parseCertificateId('x'));
  assert.equal(await readdir(directory), []);
});

test('that an administrator repaired are read again, and damaged ones are not', async ({
  directory,
}) => {
  const [newer, damaged] = ['newer', 'damaged'].map((id) => join(directory, `${id}.json`));
  assert.ok(newer !== undefined && damaged !== undefined);
  await writeFile(newer, record({ version: 2 }));
  await writeFile(damaged, 'x');
  const storage = await Storage.open(directory);
  await storage.retry();
  assert.match(storage.get(parseCertificateId('newer'))?.damage ?? '', 'newer version');
  await writeFile(newer, record());
  await writeFile(damaged, record());
  await storage.retry();
  assert.is(storage.get(parseCertificateId('newer'))?.damage, undefined);
  assert.match(storage.get(parseCertificateId('damaged'))?.damage ?? '', 'not JSON');
  await rm(newer);
  await storage.retry();
  assert.is(
    storage.get(parseCertificateId('newer'))?.keyId,
    'k',
    'what could be used is not read again',
  );
});

test('that were unusable and are deleted no longer exist', async ({ directory }) => {
  const path = join(directory, 'x.json');
  await writeFile(path, record({ version: 2 }));
  const storage = await Storage.open(directory);
  await rm(path);
  await storage.retry();
  assert.is(storage.get(parseCertificateId('x')), undefined);
  assert.equal(storage.ids(), []);
});

test('that were replaced or deleted are not read again', async ({ directory }) => {
  await writeFile(join(directory, 'x.json'), record({ version: 2 }));
  await writeFile(join(directory, 'y.json'), record({ version: 2 }));
  const storage = await Storage.open(directory);
  const held = await storage.put(parseCertificateId('x'), [two], replacing);
  await storage.delete(parseCertificateId('y'));
  await storage.retry();
  assert.is(storage.get(parseCertificateId('x')), held);
  assert.equal(storage.ids(), ['x']);
});

test('are in a directory that only the user of the service can enter', async ({ directory }) => {
  const path = join(directory, 'certificates');
  const storage = await Storage.open(path);
  await storage.put(parseCertificateId('x'), [one], replacing);
  assert.is((await stat(path)).mode & 0o777, 0o700);
  await chmod(path, 0o755);
  await Storage.open(path);
  assert.is((await stat(path)).mode & 0o777, 0o700);
});

test.run();
