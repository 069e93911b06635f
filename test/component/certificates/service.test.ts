import { readdir, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isServiceError } from '../../../src/errors.ts';
import { parseCertificateId } from '../../../src/ids.ts';
import {
  encodeCertificatesPem,
  parseCertificatesPem,
  parsePkcs7,
} from '../../../src/x509/certificate.ts';
import { text, universal } from '../../../src/x509/der/asn1.ts';
import { encodePem } from '../../../src/x509/pem.ts';
import { encodePkcs7 } from '../../../src/x509/pkcs7.ts';
import { failureOf } from '../../support/failure.ts';
import { via } from '../../support/via.ts';
import {
  before1970,
  crossSigned,
  labelledAsCertificate,
  trusted,
  universalString,
} from '../../support/x509/found-certificates.ts';
import { oddCertificate } from '../../support/x509/odd-certificate.ts';
import { makeCa, makeKey } from '../../support/x509/openssl.ts';
import { configOf, Rig, sha256 } from './rig.ts';

const test = suite('certificates service');

async function makeChain() {
  const [rootKey, key] = [makeKey('ec-p256'), makeKey('ec-p256')];
  const root = await makeCa({ name: 'CN=root', key: rootKey });
  const ca = await makeCa({ name: 'CN=ca', key, by: { certificate: root, key: rootKey } });
  return { root, ca, key, pem: Buffer.from(encodeCertificatesPem([ca, root])) };
}

test('persists imported certificates, in every format, across a restart', async () => {
  const { root, ca, pem } = await makeChain();
  await using rig = await Rig.start();
  await rig.service.import('plain', { data: pem, format: 'pem' }, { keyId: 'my-key' });
  await rig.service.import('alone', { data: ca.der, format: 'der' }, {});
  await rig.service.import('a/b:c$', { data: encodePkcs7([root, ca]), format: 'pkcs7' }, {});
  const again = await Rig.start({}, rig.directory);
  const record = await again.service.get('plain');
  assert.is(record.chain_pem, pem.toString());
  assert.is(record.key_id, 'my-key');
  assert.is(record.not_after, BigInt(ca.notAfter.getTime()) * 1000n);
  assert.is((await again.service.get('a/b:c$')).chain_pem, pem.toString());
  assert.equal(await again.service.export(parseCertificateId('alone'), 'der'), ca.der);
  assert.equal(await again.service.export(parseCertificateId('plain'), 'der'), ca.der);
  assert.equal(
    (await again.service.export(parseCertificateId('plain'), 'pem')).toString(),
    pem.toString(),
  );
  assert.is(
    parsePkcs7(await again.service.export(parseCertificateId('plain'), 'pkcs7'), 'x').length,
    2,
  );
  assert.equal([...again.published.objects.keys()].sort(), ['a/b:c$', 'alone', 'plain']);
});

test('refuses private keys, unknown formats, foreign data and broken chains', async () => {
  const { root, key } = await makeChain();
  const other = await makeCa({ name: 'CN=other', key: makeKey('ec-p256') });
  await using rig = await Rig.start();
  const pkcs8 = String(key.export({ format: 'pem', type: 'pkcs8' }));
  const withKey = Buffer.from(encodeCertificatesPem([root]) + pkcs8);
  for (const [format, data] of [
    ['pem', withKey],
    ['der', Buffer.from(key.export({ format: 'der', type: 'pkcs8' }))],
    ['pkcs12', root.der],
    ['pem', root.der],
    ['pem', Buffer.alloc(0)],
    ['pkcs7', root.der],
    ['der', Buffer.concat([root.der, other.der])],
  ] as const) {
    assert.is(
      await failureOf(() => rig.service.import('x', { data, format }, {})),
      'InvalidArgs',
      format,
    );
  }
  const wrong = { ifExists: 'keep' };
  const good = { data: root.der, format: 'der' };
  assert.is(await failureOf(() => rig.service.import('x', good, wrong)), 'InvalidArgs');
  assert.is(await failureOf(() => rig.service.export(parseCertificateId('x'), 'pem')), 'NotFound');
});

test('reports a mismatch between the data and the declared format', async () => {
  const { ca, pem } = await makeChain();
  await using rig = await Rig.start();
  for (const [format, data, message] of [
    ['pem', ca.der, 'the data is not PEM'],
    ['der', pem, 'the data is PEM, not DER'],
    ['pkcs7', ca.der, 'the data is not PKCS#7 signed data'],
    ['pkcs7', pem, 'the data, block 1 (line 1), is not PKCS#7 signed data'],
  ] as const) {
    const failure: unknown = await rig.service
      .import('x', { data: Buffer.from(data), format }, { via })
      .catch((error: unknown) => error);
    assert.ok(isServiceError(failure, 'InvalidArgs'));
    assert.is(failure.message, message);
  }
});

test('shows a beginning before 1970 as none, and an end before 1970 as one', async () => {
  await using rig = await Rig.start();
  await rig.service.import('old', { data: Buffer.from(before1970), format: 'pem' }, {});
  assert.is((await rig.service.get('old')).not_before, 0n);
  const shown = rig.published.objects.get('old');
  assert.is(shown?.NotBefore, 0n);
  assert.is(shown?.NotAfter, BigInt(Date.parse('2049-12-31T23:59:59Z')) * 1000n);
  assert.is(shown?.State, 'valid');
  const times = {
    notBefore: text(universal.utcTime, '500101000000Z'),
    notAfter: text(universal.generalizedTime, '19690720201740Z'),
  };
  const data = await oddCertificate(times);
  await rig.service.import('over', { data, format: 'der' }, {});
  assert.is(rig.published.objects.get('over')?.State, 'expired');
  assert.is((await rig.service.get('over')).not_after, 1n);
  const endless = await oddCertificate({
    notAfter: text(universal.generalizedTime, '99991231235959Z'),
  });
  await rig.service.import('endless', { data: endless, format: 'der' }, {});
  assert.is((await rig.service.get('endless')).not_after, 253_402_300_799_000_000n);
  const again = await Rig.start({}, rig.directory);
  assert.is(again.published.objects.size, 3);
  assert.equal(again.published.problems, []);
});

test('imports the same forms that it preloads', async () => {
  const { ca, root, pem } = await makeChain();
  await using files = await Rig.start();
  const forms = {
    mark: Buffer.concat([Buffer.from('\uFEFF'), pem]),
    utf16: Buffer.from(`\uFEFF${pem.toString()}`, 'utf16le'),
    pkcs7: Buffer.from(encodePem(encodePkcs7([root, ca]), 'PKCS7')),
    cross: Buffer.from(crossSigned),
    trusted: Buffer.from(trusted),
    subject: Buffer.from(universalString),
    labelled: Buffer.from(labelledAsCertificate),
  };
  const settings: Record<string, string> = {};
  for (const [name, bytes] of Object.entries(forms)) {
    settings[`preloaded_cert:${name}`] = join(files.directory, name);
    await writeFile(join(files.directory, name), bytes);
  }
  await using rig = await Rig.start(settings);
  assert.equal(rig.published.problems, []);
  for (const [name, data] of Object.entries(forms)) {
    await rig.service.import(`${name}-in`, { data, format: 'pem' }, {});
    const preloaded = await rig.service.get(name);
    assert.is((await rig.service.get(`${name}-in`)).chain_pem, preloaded.chain_pem, name);
  }
  assert.is(rig.published.objects.get('subject')?.Subject, 'CN=edge-universal');
});

test('has no time of renewal for certificates that it does not renew', async () => {
  const { root } = await makeChain();
  await using rig = await Rig.start();
  await rig.service.import('x', { data: root.der, format: 'der' }, {});
  assert.is(rig.published.objects.get('x')?.RenewAt, 0n);
  assert.is((await rig.service.get('x')).renew_at, 0n);
});

test('stores nothing of a refused import', async () => {
  const { pem, key } = await makeChain();
  await using rig = await Rig.start();
  const refused = [
    pem.toString().replace('\n', '\n%'),
    pem.toString() + String(key.export({ format: 'pem', type: 'pkcs8' })),
    encodePem(
      await oddCertificate({ notAfter: text(universal.utcTime, '261399000000Z') }),
      'CERTIFICATE',
    ),
  ];
  for (const data of refused) {
    const request = { data: Buffer.from(data), format: 'pem' };
    assert.is(await failureOf(() => rig.service.import('x', request, {})), 'InvalidArgs');
  }
  assert.equal(await readdir(join(rig.directory, 'certificates')), []);
  assert.is(rig.published.objects.size, 0);
});

test('replaces only with the option to replace, and deletes', async () => {
  const { root, ca } = await makeChain();
  await using rig = await Rig.start();
  await rig.service.import('x', { data: root.der, format: 'der' }, {});
  const second = { data: ca.der, format: 'der' };
  assert.is(await failureOf(() => rig.service.import('x', second, {})), 'AlreadyExists');
  await rig.service.import('x', second, { ifExists: 'replace' });
  assert.is(rig.published.objects.get('x')?.Subject, 'CN=ca');
  await rig.service.delete(parseCertificateId('x'));
  assert.is(rig.published.objects.size, 0);
  assert.is(await failureOf(() => rig.service.delete(parseCertificateId('x'))), 'NotFound');
  assert.equal(await readdir(join(rig.directory, 'certificates')), []);
});

test('lets one of two concurrent imports win', async () => {
  const { root, ca } = await makeChain();
  await using rig = await Rig.start();
  const codes = await Promise.all(
    [root, ca].map(({ der }) =>
      failureOf(() => rig.service.import('x', { data: der, format: 'der' }, {})),
    ),
  );
  assert.equal(codes, ['no failure', 'AlreadyExists']);
});

test('reads the current content of preloaded files, and finds the matching key', async () => {
  const { ca, pem, key } = await makeChain();
  await using files = await Rig.start();
  const path = join(files.directory, 'ca.cer');
  await writeFile(path, pem);
  await using rig = await Rig.start({ 'preloaded_cert:device-ca': path });
  rig.keys.add('some-key', key);
  assert.is((await rig.service.get('device-ca')).key_id, 'some-key');
  assert.is(rig.published.objects.get('device-ca')?.KeyId, 'some-key');
  assert.is(rig.published.objects.get('device-ca')?.Preloaded, true);
  const data = { data: ca.der, format: 'der' };
  const replace = { ifExists: 'replace' };
  assert.is(await failureOf(() => rig.service.import('device-ca', data, replace)), 'NotSupported');
  assert.is(
    await failureOf(() => rig.service.delete(parseCertificateId('device-ca'))),
    'NotSupported',
  );
  const newer = await makeCa({ name: 'CN=newer', key: makeKey('ed25519') });
  await writeFile(path, encodeCertificatesPem([newer]));
  assert.match((await rig.service.get('device-ca')).chain_pem, encodeCertificatesPem([newer]));
  assert.is(rig.published.objects.get('device-ca')?.Subject, 'CN=newer');
});

test('reports an unreadable preloaded certificate as damaged, and serves the rest', async () => {
  const { key } = await makeChain();
  await using files = await Rig.start();
  const secret = join(files.directory, 'key.pem');
  await writeFile(secret, String(key.export({ format: 'pem', type: 'pkcs8' })));
  await using rig = await Rig.start({
    'preloaded_cert:gone': join(files.directory, 'gone.cer'),
    'preloaded_cert:secret': secret,
    'preloaded_cert:loop': ['loop'],
    'preloaded_cert:endless': '/dev/zero',
  });
  for (const id of ['gone', 'secret', 'loop', 'endless']) {
    assert.is(rig.published.objects.get(id)?.State, 'damaged', id);
    assert.is(await failureOf(() => rig.service.get(id)), 'Unavailable', id);
  }
  assert.is(rig.published.problems.length, 4);
});

test('reports a damaged record, preserves its file, and accepts a replacement', async () => {
  const { root } = await makeChain();
  await using rig = await Rig.start();
  const data = { data: root.der, format: 'der' };
  await rig.service.import('x', data, {});
  await truncate(join(rig.directory, 'certificates/x.json'), 100);
  const again = await Rig.start({}, rig.directory);
  assert.is(again.published.objects.get('x')?.State, 'damaged');
  assert.is(await failureOf(() => again.service.get('x')), 'Unavailable');
  assert.is(await failureOf(() => again.service.import('x', data, {})), 'AlreadyExists');
  await again.service.import('x', data, { ifExists: 'replace' });
  assert.is(again.published.objects.get('x')?.State, 'valid');
  assert.equal(again.published.problems, []);
});

test('refuses a key that does not belong to the certificate', async () => {
  const { ca, key } = await makeChain();
  await using rig = await Rig.start();
  rig.keys.add('own', key);
  rig.keys.add('other', makeKey('ec-p256'));
  const data = { data: ca.der, format: 'der' };
  assert.is(
    await failureOf(() => rig.service.import('x', data, { keyId: 'other' })),
    'InvalidArgs',
  );
  await rig.service.import('x', data, { keyId: 'own' });
  await rig.service.import('y', data, { keyId: 'not-there-yet' });
});

test('omits a damaged or missing part from the trust bundle, and reports it', async () => {
  const { root } = await makeChain();
  await using files = await Rig.start();
  const path = join(files.directory, 'broken.cer');
  await writeFile(path, encodeCertificatesPem([root]).replace('\n', '\n%'));
  const trust = { 'preloaded_cert:broken': path, trust_bundle: ['broken', 'site', 'absent'] };
  await using rig = await Rig.start(trust);
  assert.is(rig.published.digest, '');
  assert.is(await failureOf(() => rig.service.trustBundle(undefined)), 'Unavailable');
  await rig.service.import('site', { data: root.der, format: 'der' }, {});
  const bundle = encodeCertificatesPem([root]);
  assert.is(await rig.service.trustBundle(undefined), bundle);
  assert.is(rig.published.digest, sha256(bundle));
  const problems = rig.published.problems.join('\n');
  assert.match(problems, /^"broken": .*broken\.cer, block 1 \(line 1\), is not base64$/m);
  assert.match(problems, /^trust_bundle: no certificate "absent"$/m);
  await writeFile(path, bundle);
  await rig.service.import('absent', { data: root.der, format: 'der' }, {});
  assert.equal(rig.published.problems, []);
  assert.is(await failureOf(() => rig.service.trustBundle(parseCertificateId('none'))), 'NotFound');
});

test('looks a key up once for concurrent callers, and again after a while', async () => {
  const { ca, key } = await makeChain();
  await using rig = await Rig.start();
  await rig.service.import('x', { data: ca.der, format: 'der' }, {});
  const keysOf = async (): Promise<readonly string[]> => {
    const records = await Promise.all([1, 2, 3].map(() => rig.service.get('x')));
    return records.map(({ key_id: id }) => id);
  };
  assert.equal(await keysOf(), ['', '', '']);
  assert.is(rig.keys.lookups, 1);
  rig.keys.add('own', key);
  assert.equal(await keysOf(), ['', '', '']);
  assert.is(rig.keys.lookups, 1);
  rig.now = new Date(Date.now() + 60_000);
  assert.equal(await keysOf(), ['own', 'own', 'own']);
  assert.is(rig.keys.lookups, 2);
});

test('publishes the key when it is created, moved and deleted, and keeps it while it is unreachable', async () => {
  const { ca, key } = await makeChain();
  await using rig = await Rig.start();
  const { keys, service } = rig;
  await service.import('plain', { data: ca.der, format: 'der' }, { via });
  const shown = async (id = 'plain'): Promise<string | undefined> => {
    await service.refreshKeys(via);
    assert.is((await service.get(id, via)).key_id, rig.published.objects.get(id)?.KeyId);
    return rig.published.objects.get(id)?.KeyId;
  };
  assert.is(await shown(), '');
  keys.add('made', key);
  assert.is(await shown(), 'made');
  keys.delete('made');
  keys.add('moved', key);
  assert.is(await shown(), 'moved');
  keys.isAway = true;
  assert.is(await shown(), 'moved');
  assert.ok(service.keysAreOutdated);
  keys.isAway = false;
  keys.add('moved', makeKey('ec-p256'));
  assert.is(await shown(), '');
  assert.not.ok(service.keysAreOutdated);
});

test('follows a key that was named with a certificate and moved, and preserves the id of a missing one', async () => {
  const { ca, key } = await makeChain();
  await using rig = await Rig.start({ certificates: { configured: { key_id: 'mine' } } });
  const { keys, service } = rig;
  await service.import('named', { data: ca.der, format: 'der' }, { keyId: 'first', via });
  await service.import('configured', { data: ca.der, format: 'der' }, { via });
  const shown = async (): Promise<readonly (string | undefined)[]> => {
    await service.refreshKeys(via);
    return ['named', 'configured'].map((id) => rig.published.objects.get(id)?.KeyId);
  };
  keys.add('second', key);
  assert.equal(await shown(), ['first', 'mine']);
  keys.add('first', key);
  assert.equal(await shown(), ['first', 'mine']);
  keys.delete('first');
  assert.equal(await shown(), ['second', 'mine']);
  keys.isAway = true;
  assert.equal(await shown(), ['second', 'mine']);
  keys.isAway = false;
  keys.delete('second');
  assert.equal(await shown(), ['', 'mine']);
  keys.add('third', key);
  assert.equal(await shown(), ['third', 'mine']);
  keys.add('first', key);
  assert.equal(await shown(), ['first', 'mine']);
  keys.add('first', makeKey('ec-p256'));
  assert.equal(await shown(), ['third', 'mine']);
});

test('uses the keys of another configuration at once', async () => {
  const { ca, key } = await makeChain();
  await using rig = await Rig.start();
  rig.keys.add('made', key);
  await rig.service.import('plain', { data: ca.der, format: 'der' }, { via });
  await rig.service.refreshKeys(via);
  rig.keys.isAway = true;
  await rig.service.reconfigured(configOf({ trust_bundle: ['plain'] }));
  assert.is(rig.published.objects.get('plain')?.KeyId, 'made');
});

test('reports whether a certificate is valid now', async () => {
  const { root } = await makeChain();
  await using rig = await Rig.start();
  await rig.service.import('x', { data: root.der, format: 'der' }, {});
  const stateAt = async (ms: number): Promise<string | undefined> => {
    rig.now = new Date(Date.now() + ms);
    await rig.service.publishAll();
    return rig.published.objects.get('x')?.State;
  };
  assert.is(await stateAt(0), 'valid');
  assert.is(await stateAt(-2 * 3_600_000), 'not-yet-valid');
  assert.is(await stateAt(2 * 86_400_000), 'expired');
});

test('builds the trust bundle: of an id, as configured, of trusted-ca, or empty', async () => {
  const { root, ca, pem } = await makeChain();
  const two = encodeCertificatesPem([root, ca]);
  await using empty = await Rig.start();
  assert.is(await empty.service.trustBundle(undefined), '');
  await empty.service.import('trusted-ca', { data: root.der, format: 'der' }, {});
  assert.is(await empty.service.trustBundle(undefined), encodeCertificatesPem([root]));
  assert.is(empty.published.digest, sha256(encodeCertificatesPem([root])));
  await empty.service.import('more', { data: pem, format: 'pem' }, {});
  assert.is(
    parseCertificatesPem(
      Buffer.from(await empty.service.trustBundle(parseCertificateId('more'))),
      'x',
    ).length,
    2,
  );
  assert.is(
    await failureOf(() => empty.service.trustBundle(parseCertificateId('none'))),
    'NotFound',
  );
  const configured = await Rig.start({ trust_bundle: ['trusted-ca', 'more'] }, empty.directory);
  assert.is(await configured.service.trustBundle(undefined), two);
  assert.is(configured.published.digest, sha256(two));
});

test.run();
