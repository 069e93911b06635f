/** How certificates and their properties change with imports, deletions and the configuration. */
import { chown, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseCertificateId } from '../../../src/ids.ts';
import { encodeCertificatesPem } from '../../../src/x509/certificate.ts';
import { failureOf } from '../../support/failure.ts';
import { via } from '../../support/via.ts';
import { makeCa, makeKey } from '../../support/x509/openssl.ts';
import { configOf, Rig, sha256 } from './rig.ts';

const test = suite<{ path: string; directory: string }>('catalog of certificates');

const key = makeKey('ed25519');
const ca = await makeCa({ name: 'CN=ca', key });
const other = await makeCa({ name: 'CN=other', key: makeKey('ed25519') });
const data = { data: ca.der, format: 'der' };
const otherData = { data: other.der, format: 'der' };
const replace = { ifExists: 'replace' };

test.before.each(async (context) => {
  context.directory = await mkdtemp(join(tmpdir(), 'iotedge-catalog-'));
  context.path = join(context.directory, 'file.cer');
  await writeFile(context.path, encodeCertificatesPem([other]));
});
test.after.each(({ directory }) => rm(directory, { recursive: true, force: true }));

test('are all published again on publishAll, damaged ones with the reason', async ({ path }) => {
  await using rig = await Rig.start({ 'preloaded_cert:file': path });
  await rig.service.import('x', data, {});
  rig.published.objects.clear();
  rig.now = new Date(rig.now.getTime() + 1000);
  await rig.service.publishAll();
  assert.equal(new Set(rig.published.objects.keys()), new Set(['file', 'x']));
  assert.is(rig.published.objects.get('file')?.Preloaded, true);
  assert.is(rig.published.objects.get('x')?.Preloaded, false);
  await writeFile(path, 'x');
  await rig.service.publishAll();
  const shown = rig.published.objects.get('file');
  assert.equal([shown?.State, shown?.Subject], ['damaged', '']);
  assert.match(shown?.LastError ?? '', 'neither PEM nor whole DER');
  assert.equal(rig.published.problems, [`"file": ${shown?.LastError}`]);
  await writeFile(path, encodeCertificatesPem([ca]));
  await rig.service.publishAll();
  assert.is(rig.published.objects.get('file')?.State, 'valid');
  assert.is(rig.published.objects.get('file')?.LastError, '');
  assert.equal(rig.published.problems, []);
});

test('of one id are the preloaded one, whatever is stored under it', async ({ path }) => {
  await using before = await Rig.start();
  await before.service.import('x', data, {});
  const rig = await Rig.start({ 'preloaded_cert:x': path }, before.directory);
  assert.is((await rig.service.get('x')).chain_pem, encodeCertificatesPem([other]));
  assert.is(rig.published.objects.get('x')?.Preloaded, true);
  assert.is(await failureOf(() => rig.service.import('x', data, replace)), 'NotSupported');
  assert.is(await failureOf(() => rig.service.delete(parseCertificateId('x'))), 'NotSupported');
});

test('are removed from the bus and from the problems when they are deleted', async () => {
  await using rig = await Rig.start();
  await rig.service.import('x', data, {});
  await writeFile(join(rig.directory, 'certificates/y.json'), 'x');
  const again = await Rig.start({}, rig.directory);
  assert.is(again.published.problems.length, 1);
  await again.service.delete(parseCertificateId('y'));
  assert.equal([...again.published.objects.keys()], ['x']);
  assert.equal(again.published.problems, []);
  assert.is(await failureOf(again.service.get('y')), 'NotFound');
});

test('are ok at first, and degraded while the disk has a problem', async ({ path }) => {
  await using rig = await Rig.start();
  const { published } = rig;
  assert.equal(published.properties, {
    Version: '',
    Health: 'ok',
    LastError: '',
    TrustBundleDigest: sha256(''),
  });
  await using damaged = await Rig.start({ 'preloaded_cert:file': `${path}/nowhere` });
  const [damage] = damaged.published.problems;
  damaged.disk.problem = 'it is full';
  damaged.service.publishHealth();
  assert.equal(damaged.published.problems, ['it is full', damage]);
  await damaged.service.publishAll();
  assert.equal(damaged.published.problems, ['it is full', damage]);
  damaged.disk.problem = '';
  damaged.service.publishHealth();
  assert.equal(damaged.published.problems, [damage]);
});

test('change with the configuration: preloaded and removed certificates, and the trust bundle', async ({
  path,
}) => {
  await using rig = await Rig.start({ 'preloaded_cert:gone': path, trust_bundle: ['x'] });
  await rig.service.import('x', data, {});
  await rig.service.import('y', data, {});
  const removed: string[] = [];
  const remove = rig.published.remove.bind(rig.published);
  rig.published.remove = (id) => {
    removed.push(id);
    remove(id);
  };
  const settings = { 'preloaded_cert:y': path, 'preloaded_cert:made': path, trust_bundle: ['y'] };
  const next = await rig.service.reconfigured(configOf(settings));
  assert.equal(removed, ['gone', 'y'], 'y came about otherwise before');
  const shown = [...rig.published.objects].map(([id, { Preloaded }]) => [id, Preloaded]);
  assert.equal(
    new Map(shown as [string, boolean][]),
    new Map([
      ['x', false],
      ['y', true],
      ['made', true],
    ]),
  );
  assert.is(rig.published.digest, sha256(encodeCertificatesPem([other])));
  assert.is(await next.trustBundle(undefined), encodeCertificatesPem([other]));
});

test('change one after the other, also across configurations', async () => {
  await using rig = await Rig.start();
  const next = await rig.service.reconfigured(configOf());
  const both = [
    rig.service.import('x', data, {}),
    next.import(parseCertificateId('x'), otherData, { via }),
  ];
  assert.equal(await Promise.all(both.map(failureOf)), ['no failure', 'AlreadyExists']);
  await rig.service.delete(parseCertificateId('x'));
  const failed = rig.service.delete(parseCertificateId('x'));
  assert.is(await failureOf(failed), 'NotFound');
  await rig.service.import('x', data, {});
});

test('are unknown while the directory of records is unusable', async ({ path }) => {
  await using rig = await Rig.start({ 'preloaded_cert:file': path });
  await rig.service.import('x', data, {});
  const directory = join(rig.directory, 'certificates');
  const { uid, gid } = await stat(directory);
  await chown(directory, uid + 1, gid);
  const again = await Rig.start({ 'preloaded_cert:file': path }, rig.directory);
  assert.match(again.published.problems[0] ?? '', directory);
  for (const id of ['x', 'absent']) {
    assert.is(await failureOf(again.service.get(id)), 'Unavailable');
    assert.is(await failureOf(again.service.import(id, data, {})), 'Unavailable');
    assert.is(await failureOf(again.service.import(id, data, replace)), 'Unavailable');
    assert.is(await failureOf(again.service.delete(parseCertificateId(id))), 'Unavailable');
  }
  await again.service.get('file');
  await chown(directory, uid, gid);
  await again.service.publishAll();
  assert.is((await again.service.get('x')).chain_pem, encodeCertificatesPem([ca]));
  assert.is(await failureOf(again.service.get('absent')), 'NotFound');
  assert.equal(again.published.problems, []);
  assert.is(again.published.objects.get('x')?.State, 'valid');
});

test('use the key of the issuer setting before that of a rule, and that before a found one', async () => {
  const certificates = { '*': { key_id: 'by-rule' } };
  await using rig = await Rig.start({ certificates, issuers: { x: { key_id: 'by-issuer' } } });
  rig.keys.add('found', key);
  await rig.service.import('x', data, {});
  await rig.service.import('y', data, {});
  await rig.service.import('z', data, { keyId: 'stored' });
  const ids = ['x', 'y', 'z'];
  const shown = ids.map((id) => rig.published.objects.get(id)?.KeyId);
  assert.equal(shown, ['by-issuer', 'by-rule', 'stored']);
  const read = await Promise.all(ids.map(async (id) => (await rig.service.get(id)).key_id));
  assert.equal(read, shown);
  assert.is(rig.keys.lookups, 0);
});

test('use the key that is stored with them, whatever a rule defines', async () => {
  await using rig = await Rig.start({ certificates: { x: { key_id: 'by-rule' } } });
  rig.keys.add('stored', makeKey('ed25519'));
  rig.keys.add('moved', key);
  await rig.service.import('x', data, {});
  await rig.service.refreshKeys(via);
  assert.is(rig.published.objects.get('x')?.KeyId, 'by-rule');
  rig.keys.delete('stored');
  await rig.service.import('x', data, { keyId: 'stored', ...replace });
  rig.keys.add('stored', makeKey('ed25519'));
  await rig.service.refreshKeys(via);
  assert.is(rig.published.objects.get('x')?.KeyId, 'moved');
});

test('publish a key as soon as a read has found it', async () => {
  await using rig = await Rig.start();
  await rig.service.import('x', data, {});
  rig.keys.add('found', key);
  assert.is(rig.published.objects.get('x')?.KeyId, '');
  assert.is((await rig.service.get('x')).key_id, 'found');
  assert.is(rig.published.objects.get('x')?.KeyId, 'found');
});

test('are published again only where a key changed', async () => {
  await using rig = await Rig.start();
  await rig.service.import('x', data, {});
  await rig.service.import('y', otherData, {});
  const puts: string[] = [];
  const put = rig.published.putDeferred.bind(rig.published);
  rig.published.putDeferred = (id, properties) => {
    puts.push(id);
    put(id, properties);
  };
  rig.keys.add('found', key);
  await rig.service.refreshKeys(via);
  assert.equal(puts, ['x']);
});

test('are published again after a second, or at once when the clock was set back', async ({
  path,
}) => {
  await using rig = await Rig.start({ 'preloaded_cert:file': path });
  let puts = 0;
  rig.published.putDeferred = () => void puts++;
  const start = rig.now.getTime();
  for (const [ms, expected] of [
    [999, 0],
    [1000, 1],
    [1999, 1],
    [2000, 2],
    [1999, 3],
  ] as const) {
    rig.now = new Date(start + ms);
    await rig.service.get('file');
    assert.is(puts, expected, String(ms));
  }
});

test('have the validity of the leaf', async () => {
  await using rig = await Rig.start();
  await rig.service.import('x', data, {});
  const record = await rig.service.get('x');
  const microseconds = (time: Date): bigint => BigInt(time.getTime()) * 1000n;
  assert.is(record.not_before, microseconds(ca.notBefore));
  assert.is(record.not_after, microseconds(ca.notAfter));
});

test.run();
