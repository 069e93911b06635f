/** Certificates that the configuration names, assembled from files and from other certificates. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { PreloadedSource } from '../../../src/certificates/config/config.ts';
import { Preloaded } from '../../../src/certificates/preloaded.ts';
import { parseCertificateId } from '../../../src/ids.ts';
import { type Certificate, encodeCertificatesPem } from '../../../src/x509/certificate.ts';
import { makeCa, makeKey } from '../../support/x509/openssl.ts';

const test = suite<{ directory: string }>('preloaded certificates');

const rootKey = makeKey('ed25519');
const root = await makeCa({ name: 'CN=root', key: rootKey });
const by = { certificate: root, key: rootKey };
const leaf = await makeCa({ name: 'CN=leaf', key: makeKey('ed25519'), by });

test.before.each(async (context) => {
  context.directory = await mkdtemp(join(tmpdir(), 'iotedge-preloaded-'));
});
test.after.each(async ({ directory }) => {
  await rm(directory, { recursive: true, force: true });
});

/** Writes a file of certificates and returns its configuration. */
async function file(
  directory: string,
  name: string,
  certificates: readonly Certificate[],
): Promise<PreloadedSource> {
  const path = join(directory, name);
  await writeFile(path, encodeCertificatesPem(certificates));
  return { kind: 'file', path };
}

const other = (id: string): PreloadedSource => ({
  kind: 'certificate',
  id: parseCertificateId(id),
});
const names = (chain: readonly Certificate[]): readonly string[] =>
  chain.map(({ subjectText }) => subjectText);

test('are a chain in chain order from one file, and in the given order from a list', async ({
  directory,
}) => {
  const mixed = await file(directory, 'mixed', [root, leaf]);
  const upper = await file(directory, 'root', [root]);
  const preloaded = {
    one: [mixed],
    two: [upper, mixed],
    named: [other('one')],
    stored: [upper, other('handed-in')],
  };
  const stored = (id: string) => (id === 'handed-in' ? [leaf, root] : undefined);
  const all = new Preloaded({ preloaded }, stored);
  assert.equal(all.ids(), ['one', 'two', 'named', 'stored']);
  assert.ok(all.has(parseCertificateId('two')) && !all.has(parseCertificateId('handed-in')));
  for (const [id, chain] of [
    ['one', ['CN=leaf', 'CN=root']],
    ['two', ['CN=root', 'CN=leaf']],
    ['named', ['CN=leaf', 'CN=root']],
    ['stored', ['CN=root', 'CN=leaf']],
  ] as const) {
    const held = await all.read(parseCertificateId(id));
    assert.equal(names(held.chain), chain, id);
    assert.equal([held.id, held.keyId, held.preloaded], [id, '', true]);
    assert.is(held.damage, undefined);
  }
});

test('are the same object until a file changes', async ({ directory }) => {
  const preloaded = { x: [await file(directory, 'x', [root])] };
  const all = new Preloaded({ preloaded }, () => undefined);
  const before = await all.read(parseCertificateId('x'));
  assert.is(await all.read(parseCertificateId('x')), before);
  await file(directory, 'x', [leaf]);
  const after = await all.read(parseCertificateId('x'));
  assert.equal(names(after.chain), ['CN=leaf']);
  assert.is(await all.read(parseCertificateId('x')), after);
});

test('are read again when one of their parts is replaced', async () => {
  let chain: readonly Certificate[] | undefined = [root];
  const all = new Preloaded({ preloaded: { x: [other('y')] } }, () => chain);
  assert.equal(names((await all.read(parseCertificateId('x'))).chain), ['CN=root']);
  chain = [leaf];
  assert.equal(names((await all.read(parseCertificateId('x'))).chain), ['CN=leaf']);
  chain = undefined;
  const held = await all.read(parseCertificateId('x'));
  assert.equal(held.chain, []);
  assert.is(held.damage, 'no certificate "y"');
  chain = [leaf];
  assert.is((await all.read(parseCertificateId('x'))).damage, undefined);
});

test('refer to each other up to eight levels deep', async () => {
  const preloaded = Object.fromEntries(
    Array.from({ length: 10 }, (_, at) => [`c${at}`, [other(`c${at + 1}`)]]),
  );
  const all = new Preloaded({ preloaded }, (id) => (id === 'c10' ? [root] : undefined));
  assert.equal(names((await all.read(parseCertificateId('c2'))).chain), ['CN=root']);
  assert.match((await all.read(parseCertificateId('c1'))).damage ?? '', /leads to itself/);
  const self = new Preloaded({ preloaded: { x: [other('x')] } }, () => [root]);
  assert.match((await self.read(parseCertificateId('x'))).damage ?? '', /"x" leads to itself/);
});

test('are damaged as a whole when one part is', async ({ directory }) => {
  const good = await file(directory, 'good', [root]);
  const gone: PreloadedSource = { kind: 'file', path: join(directory, 'gone') };
  const all = new Preloaded({ preloaded: { x: [good, gone], y: [good] } }, () => undefined);
  const held = await all.read(parseCertificateId('x'));
  assert.match(held.damage ?? '', /ENOENT/);
  assert.equal(held.chain, []);
  assert.equal(names((await all.read(parseCertificateId('y'))).chain), ['CN=root']);
});

test.run();
