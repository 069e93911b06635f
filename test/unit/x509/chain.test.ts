import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encodeCertificatesPem, parseCertificatesPem } from '../../../src/x509/certificate.ts';
import { arrange, orderChain, verifyLinks } from '../../../src/x509/chain.ts';
import { encodePkcs7, parsePkcs7 } from '../../../src/x509/pkcs7.ts';
import { renewalTime } from '../../../src/x509/renewal-time.ts';
import { codeOf, makeCa, makeKey, openssl, Workspace } from './openssl.ts';

const test = suite('chains');

async function makeChain() {
  const [rootKey, middleKey] = [makeKey('ec-p256'), makeKey('rsa-2048')];
  const root = await makeCa({ name: 'CN=root', key: rootKey, pathLength: 1 });
  const byRoot = { certificate: root, key: rootKey };
  const middle = await makeCa({ name: 'CN=middle', key: middleKey, by: byRoot });
  const byMiddle = { certificate: middle, key: middleKey };
  const leaf = await makeCa({ name: 'CN=leaf', key: makeKey('ed25519'), by: byMiddle });
  return { root, middle, leaf, byRoot, byMiddle };
}

test('puts a chain in order, leaf first, without repetitions', async () => {
  const { root, middle, leaf } = await makeChain();
  const ordered = orderChain([root, leaf, middle, root]) ?? [];
  assert.equal(
    ordered.map(({ subjectText }) => subjectText),
    ['CN=leaf', 'CN=middle', 'CN=root'],
  );
});

test('keeps the order of a bundle of unrelated roots', async () => {
  const one = await makeCa({ name: 'CN=one', key: makeKey('ec-p256') });
  const two = await makeCa({ name: 'CN=two', key: makeKey('ec-p256') });
  assert.is(orderChain([one, two]), undefined);
  assert.equal(arrange([two, one]), [two, one]);
});

test('refuses a chain longer than the path length of its root', async () => {
  const { root, middle, byMiddle } = await makeChain();
  const key = makeKey('ec-p256');
  const lower = await makeCa({ name: 'CN=lower', key, by: byMiddle });
  const by = { certificate: lower, key };
  const leaf = await makeCa({ name: 'CN=end', key: makeKey('ec-p256'), by });
  assert.is(await codeOf(() => verifyLinks([leaf, lower, middle, root])), 'InvalidArgs');
  assert.is(await codeOf(() => verifyLinks([lower, middle, root])), undefined);
});

test('does not take the same name for the same issuer', async () => {
  const { root, middle } = await makeChain();
  const impostor = await makeCa({ name: 'CN=root', key: makeKey('ec-p256') });
  assert.is(await codeOf(() => verifyLinks([middle, impostor])), 'InvalidArgs');
  assert.is(await codeOf(() => verifyLinks([middle, root])), undefined);
});

test('writes PKCS#7 that openssl reads, and reads it back', async () => {
  using files = new Workspace();
  const { root, middle, leaf } = await makeChain();
  const der = encodePkcs7([leaf, middle, root]);
  const path = files.write('chain.p7', der);
  const pem = openssl('pkcs7', '-inform', 'DER', '-in', path, '-print_certs');
  assert.equal(
    parseCertificatesPem(Buffer.from(pem), 'output').map(({ fingerprint }) => fingerprint),
    [leaf, middle, root].map(({ fingerprint }) => fingerprint),
  );
  assert.is(parsePkcs7(der, 'bundle').length, 3);
});

test('reads PKCS#7 that openssl wrote, in DER and in PEM', async () => {
  using files = new Workspace();
  const { root, leaf } = await makeChain();
  const path = files.write('chain.pem', encodeCertificatesPem([leaf, root]));
  const pem = openssl('crl2pkcs7', '-nocrl', '-certfile', path);
  assert.equal(
    parsePkcs7(Buffer.from(pem), 'bundle').map(({ subjectText }) => subjectText),
    ['CN=leaf', 'CN=root'],
  );
});

test('refuses PKCS#7 that is cut off or holds nothing', async () => {
  const { root } = await makeChain();
  const der = encodePkcs7([root]);
  for (let length = 0; length < der.length; length += 7) {
    assert.is(await codeOf(() => parsePkcs7(der.subarray(0, length), 'bundle')), 'InvalidArgs');
  }
  assert.is(await codeOf(() => parsePkcs7(encodePkcs7([]), 'bundle')), 'InvalidArgs');
});

test('renews at the fraction of its life, up to a twentieth earlier, always at the same time', () => {
  const notBefore = new Date('2026-01-01T00:00:00Z');
  const notAfter = new Date('2026-01-31T00:00:00Z');
  const life = notAfter.getTime() - notBefore.getTime();
  const times = Array.from({ length: 50 }, (_, at) =>
    renewalTime({ notBefore, notAfter, fingerprint: String(at) }, 0.8).getTime(),
  );
  for (const time of times) {
    const fraction = (time - notBefore.getTime()) / life;
    assert.ok(fraction > 0.7499 && fraction <= 0.8);
  }
  assert.ok(new Set(times).size > 40);
  assert.equal(renewalTime({ notBefore, notAfter, fingerprint: '1' }, 0.8).getTime(), times[1]);
});

test.run();
