/** Paths that verifiers accept although a simpler rule would refuse them. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { findPath } from '../../../../src/certificates/judgement/certification-path.ts';
import { judgeIssued } from '../../../../src/certificates/judgement/judgement.ts';
import { nameConstraintsOid } from '../../../../src/certificates/judgement/name-constraints.ts';
import { spkiOf } from '../../../../src/x509/algorithm.ts';
import {
  type Certificate,
  encodeCertificatesPem,
  parseCertificatesPem,
} from '../../../../src/x509/certificate.ts';
import { context, encode, raw, sequence } from '../../../../src/x509/der/asn1.ts';
import {
  basicConstraints,
  type Extension,
  extendedKeyUsage,
  keyUsage,
} from '../../../../src/x509/extensions.ts';
import { encodeName, parseName } from '../../../../src/x509/name.ts';
import { issue } from '../../../support/x509/issued-by.ts';
import { makeKey, openssl, Workspace } from '../../../support/x509/openssl.ts';

const test = suite('certification paths');
const now = new Date('2026-06-01T12:00:00Z');
const life = { notBefore: new Date('2026-05-01'), notAfter: new Date('2027-05-01') };
const [rootKey, oldKey] = [makeKey('ec-p256'), makeKey('ec-p256')];
const [newKey, leafKey] = [makeKey('ec-p256'), makeKey('ec-p256')];
const ca = (pathLength?: number, more: readonly Extension[] = []): readonly Extension[] => [
  basicConstraints({ ca: true, pathLength }),
  keyUsage(['keyCertSign']),
  ...more,
];
const leafExtensions = [basicConstraints({ ca: false }), extendedKeyUsage(['serverAuth'])];

/** Whether OpenSSL accepts the first certificate below the last one. */
function verifies(path: readonly Certificate[]): boolean {
  using files = new Workspace();
  const [leaf, above, root] = [path.slice(0, 1), path.slice(1, -1), path.slice(-1)].map(
    (part, at) => files.write(String(at), encodeCertificatesPem(part)),
  );
  const options = ['-x509_strict', '-attime', String(now.getTime() / 1000), '-no-CApath'];
  try {
    const files = ['-CAfile', root ?? '', '-untrusted', above ?? '', leaf ?? ''];
    openssl('verify', ...options, ...files);
    return true;
  } catch {
    return false;
  }
}

/** What was found above a leaf: the subjects, or the problem. */
function found([leaf, ...above]: readonly Certificate[], others = above.slice(0, -1)): unknown {
  if (leaf === undefined) throw new Error('there is no leaf');
  const options = { others, anchors: above.slice(-1), purposes: ['serverAuth'], now };
  const result = findPath(leaf, options);
  return 'problem' in result ? result.problem : result.path;
}

/** A leaf below a CA that has changed its key under its own name. */
async function renewedCa(extensions: readonly Extension[]): Promise<readonly Certificate[]> {
  const root = await issue({ name: 'CN=root', key: rootKey, ...life, extensions: ca() });
  const by = { certificate: root, key: rootKey };
  const old = await issue({ name: 'CN=issuing', key: oldKey, by, ...life, extensions });
  const byOld = { certificate: old, key: oldKey };
  const name = 'CN=issuing';
  const next = await issue({ name, key: newKey, by: byOld, ...life, extensions: ca(0) });
  const byNext = { certificate: next, key: newKey };
  const leaf = { name: 'CN=edge', key: leafKey, by: byNext, ...life, extensions: leafExtensions };
  return [await issue(leaf), next, old, root];
}

test('do not count a CA that has changed its key under its own name', async () => {
  const path = await renewedCa(ca(0));
  assert.ok(verifies(path));
  assert.equal(found(path), path);
});

test('do not constrain the name of a CA that has changed its key', async () => {
  const permitted = context(4, [raw(encodeName(parseName('CN=edge')))]);
  const value = encode(sequence(context(0, [sequence(permitted)])));
  const path = await renewedCa(ca(undefined, [{ oid: nameConstraintsOid, critical: true, value }]));
  assert.ok(verifies(path));
  assert.equal(found(path), path);
});

test('have signatures of RSA-PSS', () => {
  using files = new Workspace();
  const pss = ['-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:digest'];
  const key = files.write('key', openssl('genpkey', '-algorithm', 'RSA'));
  const made = openssl('req', '-x509', '-key', key, '-subj', '/CN=root', '-sha256', ...pss);
  const root = files.write('root', made);
  const csr = files.write('csr', openssl('req', '-new', '-key', key, '-subj', '/CN=edge'));
  const by = ['-CA', root, '-CAkey', key, '-set_serial', '7', '-days', '30'];
  const issued = openssl('x509', '-req', '-in', csr, ...by, '-sha256', ...pss);
  const all = parseCertificatesPem(Buffer.from(issued + made), 'path');
  const [leaf, ...anchors] = all;
  if (leaf === undefined) throw new Error('there is no leaf');
  const purposes = ['serverAuth'];
  assert.equal(findPath(leaf, { others: [], anchors, purposes, now: new Date() }), { path: all });
});

test('go by the key id where a hundred CAs have the name of the issuer', async () => {
  const root = await issue({ name: 'CN=root', key: rootKey, ...life, extensions: ca() });
  const by = { certificate: root, key: rootKey };
  const extensions = ca(0);
  const own = { name: 'CN=issuing', ...life, extensions };
  const others: Certificate[] = [];
  for (let count = 0; count < 101; count++)
    others.push(await issue({ ...own, key: makeKey('ec-p256') }));
  const issuing = await issue({ ...own, key: newKey, by });
  const byIssuing = { certificate: issuing, key: newKey };
  const options = { key: leafKey, by: byIssuing, ...life, extensions: leafExtensions };
  const leaf = await issue({ name: 'CN=edge', ...options });
  assert.equal(found([leaf, root], [...others, issuing]), [leaf, issuing, root]);
});

test('have certificates for any purpose', async () => {
  const any = [extendedKeyUsage(['2.5.29.37.0'])];
  const root = await issue({ name: 'CN=root', key: rootKey, ...life, extensions: ca(0, any) });
  const by = { certificate: root, key: rootKey };
  const extensions = [basicConstraints({ ca: false }), ...any];
  const leaf = await issue({ name: 'CN=edge', key: leafKey, by, ...life, extensions });
  const subject = parseName('CN=edge');
  const expected = { spki: spkiOf(leafKey), profile: 'server', subject, names: [] } as const;
  const issued = { certificates: [leaf], others: [], anchors: [root] };
  assert.is(judgeIssued(issued, expected, now).kind, 'accepted');
});

test('begin with a certificate of version 3', async () => {
  const root = await issue({ name: 'CN=root', key: rootKey, ...life, extensions: ca() });
  const by = { certificate: root, key: rootKey };
  const options = { key: leafKey, by, ...life, extensions: leafExtensions };
  const issued = await issue({ name: 'CN=edge', ...options });
  const subject = parseName('CN=edge');
  const expected = { spki: spkiOf(leafKey), profile: 'server', subject, names: [] } as const;
  const judge = (leaf: Certificate) =>
    judgeIssued({ certificates: [leaf], others: [], anchors: [root] }, expected, now);
  assert.is(judge(issued).kind, 'accepted');
  const verdict = judge(Object.create(issued, { version: { value: 1 } }) as Certificate);
  assert.is(
    verdict.kind === 'refused' && verdict.reason,
    'the issued certificate has the version 1',
  );
});

test.run();
