import { mkdtemp, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CertificateFiles } from '../../../src/certificates/certificate-files.ts';
import { isServiceError } from '../../../src/errors.ts';
import { parseCertificateId } from '../../../src/ids.ts';
import { encodeCertificatesPem } from '../../../src/x509/certificate.ts';
import { failureOf } from '../../support/failure.ts';
import { makeCa, makeKey } from '../../support/x509/openssl.ts';
import { Rig } from './rig.ts';

const test = suite<{ directory: string; path: string; elapsedMs: number; files: CertificateFiles }>(
  'certificate files',
);

const pemOf = async (name: string): Promise<string> =>
  encodeCertificatesPem([await makeCa({ name, key: makeKey('ec-p256') })]);

test.before.each(async (context) => {
  context.directory = await mkdtemp(join(tmpdir(), 'iotedge-certificate-files-'));
  context.path = join(context.directory, 'a.cer');
  context.elapsedMs = 0;
  context.files = new CertificateFiles(() => context.elapsedMs);
  await writeFile(context.path, await pemOf('CN=one'));
});
test.after.each(async ({ directory }) => {
  await rm(directory, { recursive: true, force: true });
});

test('parse a file once for concurrent reads, and again only when it changed', async (context) => {
  const { files, path } = context;
  const [one, other] = await Promise.all([files.read(path), files.read(path)]);
  assert.is(one, other);
  assert.is(await files.read(path), one);
  context.elapsedMs = 1000;
  const settled = await files.read(path);
  context.elapsedMs = 2000;
  assert.is(await files.read(path), settled);
  await writeFile(path, await pemOf('CN=another'));
  assert.is((await files.read(path))[0]?.subjectText, 'CN=another');
});

test('give what has not changed without waiting for a thread', async ({ files, path }) => {
  const first = await files.read(path);
  const later = new Promise<undefined>((resolve) => setImmediate(() => resolve(undefined)));
  assert.is(await Promise.race([files.read(path), later]), first);
});

test('detect the replacement of a file at once, whatever its times', async ({ files, path }) => {
  await files.read(path);
  const { atime, mtime } = await stat(path);
  await writeFile(`${path}.new`, await pemOf('CN=two'));
  await utimes(`${path}.new`, atime, mtime);
  await rename(`${path}.new`, path);
  assert.is((await files.read(path))[0]?.subjectText, 'CN=two');
});

test('read again, once, what may have changed within one tick of the clock', async (context) => {
  const { files, path } = context;
  const first = await files.read(path);
  context.elapsedMs = 99;
  assert.is(await files.read(path), first);
  context.elapsedMs = 100;
  const again = await files.read(path);
  assert.is.not(again, first);
  assert.is(await files.read(path), again);
});

test('parse a damaged file once, too', async ({ files, path }) => {
  await writeFile(path, 'no certificate');
  const failures = await Promise.all(
    [1, 2].map(() => files.read(path).catch((error: unknown) => error)),
  );
  failures.push(await files.read(path).catch((error: unknown) => error));
  assert.ok(isServiceError(failures[0], 'InvalidArgs'));
  assert.is(new Set(failures).size, 1);
});

test('report a problem with a file as long as it exists', async ({ files, path }) => {
  await writeFile(path, 'no certificate');
  assert.is(await failureOf(files.read(path)), 'InvalidArgs');
  assert.is(await failureOf(files.read(path)), 'InvalidArgs');
  await writeFile(path, await pemOf('CN=good'));
  assert.is((await files.read(path)).length, 1);
  await rm(path);
  assert.match(await failureOf(files.read(path)), 'ENOENT');
  await writeFile(path, '');
  assert.is(await failureOf(files.read(path)), 'InvalidArgs');
});

test('are read up to 256 KiB', async ({ files, path }) => {
  const pem = await pemOf('CN=large');
  const filled = (size: number): string => `${'#'.repeat(size - pem.length - 1)}\n${pem}`;
  await writeFile(path, filled(256 << 10));
  assert.is((await files.read(path))[0]?.subjectText, 'CN=large');
  await writeFile(path, filled((256 << 10) + 1));
  const failure: unknown = await files.read(path).catch((error: unknown) => error);
  assert.ok(isServiceError(failure, 'InvalidArgs'));
  assert.is(failure.message, `${path} is too large`);
});

test('detect a change in place that preserves the size and the modification time', async ({
  files,
  path,
}) => {
  const pems = await Promise.all(['CN=a', 'CN=b'].map(pemOf));
  const longest = Math.max(...pems.map(({ length }) => length));
  const [before = '', after = ''] = pems.map((pem) => pem.padEnd(longest, '\n'));
  const written = new Date('2026-01-01T00:00:00Z');
  await writeFile(path, before);
  await utimes(path, written, written);
  assert.is((await files.read(path))[0]?.subjectText, 'CN=a');
  // the clock of a file system advances in ticks
  await pause(20);
  await writeFile(path, after);
  await utimes(path, written, written);
  assert.is((await files.read(path))[0]?.subjectText, 'CN=b');
});

test('give the service their current content, for the trust bundle and its parts too', async ({
  path,
}) => {
  const settings = {
    'preloaded_cert:root': path,
    'preloaded_cert:all': [path, 'cert://handed-in'],
    trust_bundle: ['all'],
  };
  await using rig = await Rig.start(settings);
  const { service } = rig;
  assert.match(await failureOf(service.trustBundle(undefined)), 'Unavailable');
  const handedIn = await makeCa({ name: 'CN=handed-in', key: makeKey('ec-p256') });
  await service.import('handed-in', { data: handedIn.der, format: 'der' }, {});
  const whole = await service.trustBundle(undefined);
  assert.match(whole, encodeCertificatesPem([handedIn]));
  assert.is((await service.get('root')).chain_pem, (await service.get('root')).chain_pem);
  const replaced = await pemOf('CN=replaced');
  await writeFile(path, replaced);
  assert.is((await service.get('root')).chain_pem, replaced);
  assert.is(await service.trustBundle(undefined), replaced + encodeCertificatesPem([handedIn]));
  assert.is(rig.published.objects.get('root')?.Subject, 'CN=replaced');
  await service.delete(parseCertificateId('handed-in'));
  assert.is(await failureOf(service.trustBundle(undefined)), 'Unavailable');
});

test('publish frequent reads no more than once a second while the content is unchanged', async ({
  path,
}) => {
  await using rig = await Rig.start({ 'preloaded_cert:root': path });
  let published = 0;
  const put = rig.published.putDeferred.bind(rig.published);
  rig.published.putDeferred = (...all) => {
    published++;
    put(...all);
  };
  for (let time = 0; time < 10; time++) await rig.service.get('root');
  assert.ok(published <= 1, String(published));
  rig.now = new Date(rig.now.getTime() + 1000);
  await rig.service.get('root');
  await rig.service.get('root');
  assert.ok(published <= 2, String(published));
  const before = published;
  await writeFile(path, 'damaged');
  assert.is(await failureOf(rig.service.get('root')), 'Unavailable');
  assert.is(await failureOf(rig.service.get('root')), 'Unavailable');
  assert.is(published, before + 1);
  assert.is(rig.published.objects.get('root')?.State, 'damaged');
});

test.run();
