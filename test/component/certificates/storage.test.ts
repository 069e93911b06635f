/** Records of certificates on the disk. */
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type Enrolment,
  imported,
  type PendingOrder,
} from '../../../src/certificates/renewal/enrolment.ts';
import { maxFormer } from '../../../src/certificates/renewal/transitions.ts';
import { Storage } from '../../../src/certificates/storage.ts';
import { parseCertificateId } from '../../../src/ids.ts';
import { type Certificate, encodeCertificatesPem } from '../../../src/x509/certificate.ts';
import { soon } from '../../support/deadline.ts';
import { failureOf } from '../../support/failure.ts';
import { makeCa, makeKey } from '../../support/x509/openssl.ts';

const test = suite<{ directory: string }>('records of certificates');
const one = await makeCa({ name: 'CN=one', key: makeKey('ed25519') });
const two = await makeCa({ name: 'CN=two', key: makeKey('ed25519') });
const replacing = { replaces: true };
const entryOf = (id: string, chain: readonly Certificate[], keyId = '') => ({
  id: parseCertificateId(id),
  chain,
  keyId,
  preloaded: false,
});

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
  const held = await storage.put(entryOf('a/b', [one, two], 'my-key'), { replaces: false });
  assert.equal(held, { id: 'a/b', chain: [one, two], keyId: 'my-key', preloaded: false });
  assert.is(storage.get(parseCertificateId('a/b')), held);
  const [name = ''] = await readdir(directory);
  assert.equal(JSON.parse(await readFile(join(directory, name), 'utf8')), {
    version: 2,
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
    newer: [record({ version: 3 }), /was written by a newer version/],
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
  await writeFile(path, record({ version: 3 }));
  const storage = await Storage.open(directory);
  const put = (replaces: boolean) => storage.put(entryOf('x', [two]), { replaces });
  assert.is(await failureOf(put(false)), 'Unavailable');
  assert.is(await readFile(path, 'utf8'), record({ version: 3 }));
  await put(true);
  assert.is(storage.get(parseCertificateId('x'))?.damage, undefined);
  await writeFile(path, record({ version: 3 }));
  await (await Storage.open(directory)).delete(parseCertificateId('x'));
  assert.equal(await readdir(directory), []);
});

test('are parsed completely after the start, which parses only what is shown of them', async ({
  directory,
}) => {
  // the signature becomes an OCTET STRING
  const der = Buffer.from(one.der);
  der[der.length - 67] = 0x04;
  const odd = encodeCertificatesPem([{ der }]);
  await writeFile(join(directory, 'odd.json'), record({ chain_pem: odd }));
  await writeFile(
    join(directory, 'upper.json'),
    record({ chain_pem: encodeCertificatesPem([one]) + odd }),
  );
  await writeFile(join(directory, 'good.json'), record());
  const storage = await Storage.open(directory);
  const damageOf = (id: string) => storage.get(parseCertificateId(id))?.damage;
  assert.equal(['good', 'odd', 'upper'].map(damageOf), [undefined, undefined, undefined]);
  assert.equal(await storage.verify(AbortSignal.abort()), []);
  assert.equal((await storage.verify(soon())).toSorted(), ['odd', 'upper']);
  assert.match(damageOf('odd') ?? '', /odd\.json is damaged: its chain is not a certificate/);
  assert.equal(storage.get(parseCertificateId('odd'))?.chain, []);
  assert.is(damageOf('good'), undefined);
  assert.is(await readFile(join(directory, 'odd.json'), 'utf8'), record({ chain_pem: odd }));
});

test('that an administrator repaired are read again, and damaged ones are not', async ({
  directory,
}) => {
  const [newer, damaged] = ['newer', 'damaged'].map((id) => join(directory, `${id}.json`));
  assert.ok(newer !== undefined && damaged !== undefined);
  await writeFile(newer, record({ version: 3 }));
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
  await writeFile(path, record({ version: 3 }));
  const storage = await Storage.open(directory);
  await rm(path);
  await storage.retry();
  assert.is(storage.get(parseCertificateId('x')), undefined);
  assert.equal(storage.ids(), []);
});

test('that were replaced or deleted are not read again', async ({ directory }) => {
  await writeFile(join(directory, 'x.json'), record({ version: 3 }));
  await writeFile(join(directory, 'y.json'), record({ version: 3 }));
  const storage = await Storage.open(directory);
  const held = await storage.put(entryOf('x', [two]), replacing);
  await storage.delete(parseCertificateId('y'));
  await storage.retry();
  assert.is(storage.get(parseCertificateId('x')), held);
  assert.equal(storage.ids(), ['x']);
});

const issuance = { method: 'local_ca', profile: 'server', issuer: 'ca', names: 'abc' } as const;
const order: PendingOrder = {
  ...issuance,
  keyId: 'k@3',
  keyAlgorithms: ['ec-p384', 'rsa-3072'],
  csr: Buffer.from('csr'),
  template: Buffer.from('template'),
  spki: Buffer.from('spki'),
  cookie: 'cookie',
  attempts: 2,
  since: 5,
  nextAttempt: 9,
  reason: 'why',
  isStuck: false,
  isRequested: true,
  isRekeyed: true,
  issuerChain: 'a digest',
  settings: 'digest',
};

test('of a certificate that is issued here keep its whole state', async ({ directory }) => {
  const enrolment: Enrolment = {
    ...issuance,
    since: 3,
    order,
    successor: { chain: [two], keyId: 'k@2', ...issuance, wasCurrent: true },
    previous: [{ chain: [one, two], keyId: 'k', ...issuance, until: 77 }],
    ownKeys: ['k', 'k@2', 'k@3'],
    isDeleted: false,
  };
  const plain = { ...enrolment, ...imported, order: undefined, successor: undefined };
  const storage = await Storage.open(directory);
  await storage.put({ ...entryOf('x', [one], 'k'), enrolment }, replacing);
  await storage.put({ ...entryOf('y', []), enrolment: { ...plain, previous: [] } }, replacing);
  const again = await Storage.open(directory);
  const read = again.get(parseCertificateId('x'))?.enrolment;
  const fingerprints = (chain: readonly Certificate[] = []) => chain.map((c) => c.fingerprint);
  assert.equal(read?.order, order);
  assert.is(read?.since, 3);
  assert.equal(read?.ownKeys, enrolment.ownKeys);
  assert.equal([read?.method, read?.profile, read?.issuer], ['local_ca', 'server', 'ca']);
  assert.equal(
    [read?.names, read?.successor?.names, read?.previous[0]?.names],
    Array(3).fill('abc'),
  );
  assert.equal(fingerprints(read?.successor?.chain), [two.fingerprint]);
  assert.equal([read?.successor?.keyId, read?.successor?.wasCurrent], ['k@2', true]);
  assert.equal(fingerprints(read?.previous[0]?.chain), [one.fingerprint, two.fingerprint]);
  assert.equal([read?.previous[0]?.keyId, read?.previous[0]?.until], ['k', 77]);
  assert.equal(again.get(parseCertificateId('y'))?.chain, []);
  assert.is(again.get(parseCertificateId('y'))?.enrolment?.method, 'none');
});

test('keep several former certificates, and those of versions that kept one are read', async ({
  directory,
}) => {
  const chain_pem = encodeCertificatesPem([one]);
  const fields = { method: 'local_ca', profile: 'server', issuer: 'ca' };
  const text = JSON.stringify({
    version: 2,
    key_id: 'k@2',
    chain_pem,
    ...fields,
    since: 3,
    previous: [{ key_id: 'k', chain_pem, ...fields, until: 77 }],
    own_keys: ['k', 'k@2'],
    deleted: false,
  });
  await writeFile(join(directory, 'x.json'), text);
  const storage = await Storage.open(directory);
  const read = storage.get(parseCertificateId('x'));
  assert.ok(read?.enrolment);
  const { previous } = read.enrolment;
  assert.equal(
    previous.map(({ keyId, until }) => [keyId, until]),
    [['k', 77]],
  );
  const [former] = previous;
  assert.ok(former);
  const more = Array.from({ length: maxFormer - 1 }, (_, at) => ({
    ...former,
    keyId: `k@${at + 3}`,
    until: 90 - at,
  }));
  const enrolment = { ...read.enrolment, previous: [...more, former] };
  await storage.put({ ...read, enrolment }, replacing);
  const again = (await Storage.open(directory)).get(parseCertificateId('x'))?.enrolment;
  assert.equal(
    again?.previous.map(({ keyId, until }) => [keyId, until]),
    enrolment.previous.map(({ keyId, until }) => [keyId, until]),
  );
});

test('of a deleted certificate are hidden while its keys are left', async ({ directory }) => {
  const storage = await Storage.open(directory);
  const deleted = { ...imported, since: 0, order: undefined, successor: undefined, previous: [] };
  const enrolment = { ...deleted, ownKeys: ['k'], isDeleted: true };
  await storage.put({ ...entryOf('x', []), enrolment }, replacing);
  const again = await Storage.open(directory);
  const id = parseCertificateId('x');
  assert.is(again.get(id), undefined);
  assert.equal(again.ids(), []);
  assert.equal(again.recordIds(), ['x']);
  assert.equal(again.record(id)?.enrolment?.ownKeys, ['k']);
});

test('of the first version are those of imported certificates', async ({ directory }) => {
  await writeFile(join(directory, 'x.json'), record());
  const entry = (await Storage.open(directory)).get(parseCertificateId('x'));
  assert.is(entry?.enrolment, undefined);
  assert.is(entry?.keyId, 'k');
});

test('are in a directory that only the user of the service can enter', async ({ directory }) => {
  const path = join(directory, 'certificates');
  const storage = await Storage.open(path);
  await storage.put(entryOf('x', [one]), replacing);
  assert.is((await stat(path)).mode & 0o777, 0o700);
  await chmod(path, 0o755);
  await Storage.open(path);
  assert.is((await stat(path)).mode & 0o777, 0o700);
});

test.run();
