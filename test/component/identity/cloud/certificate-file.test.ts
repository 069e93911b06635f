import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { NamedCertificates } from '../../../../src/identity/cloud/certificate-file.ts';
import { messageOf } from '../../../support/failure.ts';
import { Pki } from '../../../support/tls/pki.ts';

const test = suite<{ dir: string; pki: Pki }>('certificates in a named file');

test.before(async (context) => {
  context.dir = await mkdtemp(join(tmpdir(), 'iotedge-identity-'));
  context.pki = await Pki.create();
});
test.after(async ({ dir, pki }) => {
  await pki[Symbol.asyncDispose]();
  await rm(dir, { recursive: true });
});

test('are parsed again only when the file has changed', async ({ dir, pki }) => {
  const file = join(dir, 'roots');
  const files = new NamedCertificates();
  await writeFile(file, pki.root.certificate);
  const first = await files.read(file);
  assert.is(await files.read(file), first);
  await writeFile(file, `${pki.root.certificate}\n`);
  assert.is.not(await files.read(file), first);
});

test('are all read from a large bundle, and an invalid block is reported with its line', async ({
  dir,
  pki,
}) => {
  const file = join(dir, 'bundle');
  const files = new NamedCertificates();
  const { certificate } = pki.root;
  const block = `# a root\n${certificate}\n`;
  await writeFile(file, block.repeat(1200));
  assert.is((await files.read(file)).length, 1200);
  await writeFile(file, `${block.repeat(700)}${block.replace('\nM', '\n!')}${block.repeat(100)}`);
  const message = await messageOf(files.read(file));
  const [, part = '1', line = '0'] = /from line (\d+) on, .*line (\d+)/.exec(message) ?? [];
  const begin = (block.split('\n').length - 1) * 700 + 2;
  assert.ok(Math.abs(Number(part) + Number(line) - 1 - begin) <= 12, `${message} ${begin}`);
});

test('are not read from an oversized file, or from a directory', async ({ dir }) => {
  const files = new NamedCertificates();
  const large = join(dir, 'large');
  await writeFile(large, Buffer.alloc(1 << 20, 0x0a));
  assert.not.match(await messageOf(files.read(large)), 'too large');
  await writeFile(large, Buffer.alloc((1 << 20) + 1, 0x0a));
  assert.match(await messageOf(files.read(large)), `${large} is too large`);
  assert.match(await messageOf(files.read(dir)), `${dir} is not a regular file`);
  const zero = join(dir, 'zero');
  await symlink('/dev/zero', zero);
  assert.match(await messageOf(files.read(zero)), `${zero} is not a regular file`);
});

test.run();
