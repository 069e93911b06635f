/** The content of the trust bundle, its digest, and the properties of its parts. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseCertificateId } from '../../../src/ids.ts';
import { encodeCertificatesPem } from '../../../src/x509/certificate.ts';
import { failureOf } from '../../support/failure.ts';
import { makeCa, makeKey } from '../../support/x509/openssl.ts';
import { Rig, sha256 } from './rig.ts';

const test = suite('the trust bundle');

const key = makeKey('ed25519');
const ca = await makeCa({ name: 'CN=ca', key });
const again = await makeCa({ name: 'CN=ca', key });
const other = await makeCa({ name: 'CN=other', key: makeKey('ed25519') });
const pem = (...all: Parameters<typeof encodeCertificatesPem>[0][number][]) =>
  encodeCertificatesPem(all);
const bundle = (...all: Parameters<typeof pem>) => ({
  data: Buffer.from(pem(...all)),
  format: 'pem',
});
const replace = { ifExists: 'replace' };

test('contains every certificate of every part once, in their order, also two with one name', async () => {
  await using rig = await Rig.start({ trust_bundle: ['one', 'two'] });
  await rig.service.import('two', bundle(again, ca), {});
  await rig.service.import('one', bundle(other, ca), {});
  const expected = pem(other, ca, again);
  assert.is(await rig.service.trustBundle(undefined), expected);
  assert.is(rig.published.digest, sha256(expected));
});

test('changes as soon as a part is imported, replaced or deleted', async () => {
  await using rig = await Rig.start({ trust_bundle: ['one'] });
  const digests: string[] = [];
  rig.published.emit = () => void digests.push(rig.published.digest);
  await rig.service.import('one', bundle(ca), {});
  await rig.service.import('one', bundle(other), replace);
  assert.equal(digests, [sha256(pem(ca)), sha256(pem(other))]);
  assert.is(await rig.service.trustBundle(undefined), pem(other));
  await rig.service.delete(parseCertificateId('one'));
  assert.is(digests.at(-1), '');
  assert.is(await failureOf(rig.service.trustBundle(undefined)), 'NotFound');
});

test('is emitted when it changes, and only then', async () => {
  await using rig = await Rig.start({ trust_bundle: ['one'] });
  const emitted: string[] = [];
  rig.published.emit = (member) => void emitted.push(member);
  await rig.service.import('one', bundle(ca), {});
  assert.equal(emitted, ['TrustBundleChanged']);
  await rig.service.publishAll();
  await rig.service.import('else', bundle(other), {});
  assert.is(emitted.length, 1);
  await rig.service.delete(parseCertificateId('one'));
  assert.equal([emitted.length, rig.published.digest], [2, '']);
});

test('is trusted-ca where none is configured, and empty where there is none', async () => {
  await using rig = await Rig.start();
  assert.is(rig.published.digest, sha256(''));
  await rig.service.import('trusted-ca', bundle(ca), {});
  assert.is(rig.published.digest, sha256(pem(ca)));
  await rig.service.import('else', bundle(other), {});
  assert.is(await rig.service.trustBundle(undefined), pem(ca));
  assert.is(await rig.service.trustBundle(parseCertificateId('else')), pem(other));
  await rig.service.delete(parseCertificateId('trusted-ca'));
  assert.is(await rig.service.trustBundle(undefined), '');
  assert.is(rig.published.digest, sha256(''));
});

test('of one configured part contains that part and no other', async () => {
  await using rig = await Rig.start({ trust_bundle: ['one'] });
  await rig.service.import('trusted-ca', bundle(other), {});
  assert.is(await failureOf(rig.service.trustBundle(undefined)), 'NotFound');
  await rig.service.import('one', bundle(ca), {});
  assert.is(await rig.service.trustBundle(undefined), pem(ca));
});

test('is published with everything else, also when the clock advances', async () => {
  await using rig = await Rig.start();
  await rig.service.import('trusted-ca', bundle(ca), {});
  rig.published.setProperties({ TrustBundleDigest: 'lost' });
  await rig.service.publishAll();
  assert.is(rig.published.digest, sha256(pem(ca)));
});

test('leaves the report of a damage to the certificate', async () => {
  const settings = { 'preloaded_cert:one': '/nowhere/one.cer', trust_bundle: ['one', 'two'] };
  await using rig = await Rig.start(settings);
  const [damage = '', ...rest] = rig.published.problems;
  assert.match(damage, /^"one": .*ENOENT/);
  assert.equal(rest, ['trust_bundle: no certificate "two"']);
});

test('reports a missing part until it exists', async () => {
  await using rig = await Rig.start({ trust_bundle: ['one', 'two'] });
  const missing = ['trust_bundle: no certificate "one"', 'trust_bundle: no certificate "two"'];
  assert.equal(rig.published.problems, missing);
  await rig.service.import('two', bundle(ca), {});
  assert.equal(rig.published.problems, missing.slice(0, 1));
  await rig.service.import('one', bundle(ca), {});
  assert.equal(rig.published.problems, []);
});

test.run();
