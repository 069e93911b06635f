import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CertificateFile } from '../../../src/certificates/certificate-file.ts';

const test = suite<{ directory: string }>('certificate file');
const [first = '', second = ''] = rootCertificates;
const later = () => new Date(Date.now() + 60_000);

test.before.each(async (context) => {
  context.directory = await mkdtemp(join(tmpdir(), 'iotedge-certificate-file-'));
});

test.after.each(async ({ directory }) => {
  await rm(directory, { recursive: true, force: true });
});

async function failure(file: CertificateFile): Promise<unknown> {
  return file.read().then(
    () => undefined,
    (error: unknown) => error,
  );
}

test('is parsed once for as long as it stays the same', async ({ directory }) => {
  const path = join(directory, 'a.pem');
  await writeFile(path, first);
  const file = new CertificateFile(path, later);
  const before = await file.read();
  assert.is(before.length, 1);
  assert.is(await file.read(), before);
  await writeFile(path, second);
  const after = await file.read();
  assert.is.not(after[0]?.fingerprint, before[0]?.fingerprint);
  await writeFile(join(directory, 'b.pem'), first);
  await rename(join(directory, 'b.pem'), path);
  assert.is((await file.read())[0]?.fingerprint, before[0]?.fingerprint);
  await rm(path);
  assert.ok(await failure(file));
});

test('is parsed once when it is damaged too', async ({ directory }) => {
  const path = join(directory, 'a.pem');
  const file = new CertificateFile(path, later);
  for (const content of ['', 'nothing', `${first}\n${second.replaceAll('A', '!')}`]) {
    await writeFile(path, content);
    const error = await failure(file);
    assert.instance(error, Error);
    assert.is(await failure(file), error);
  }
  await writeFile(path, first);
  assert.is((await file.read()).length, 1);
});

test('is parsed again while its times may not tell a change', async ({ directory }) => {
  const path = join(directory, 'a.pem');
  const before = new Date();
  await writeFile(path, first);
  const file = new CertificateFile(path, () => before);
  assert.is.not(await file.read(), await file.read());
  const early = new CertificateFile(path, () => new Date(0));
  assert.is.not(await early.read(), await early.read());
});

test.run();
