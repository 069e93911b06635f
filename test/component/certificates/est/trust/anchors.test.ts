import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  anchorsFor,
  learn,
  type TaughtAnchors,
  tlsAnchorsOf,
} from '../../../../../src/certificates/est/trust/anchors.ts';
import { isServiceError } from '../../../../../src/errors.ts';
import type { Certificate } from '../../../../../src/x509/certificate.ts';
import { type Ca, makeCa } from '../../../../support/est/ca.ts';

const test = suite('EST trust anchors');
const now = new Date('2026-06-01T00:00:00Z');
const vouchers = { trusted: [], now };

const namesOf = (certificates: readonly Certificate[]): readonly string[] =>
  certificates.map(({ subjectText }) => subjectText);

async function rollover(): Promise<{ old: Ca; next: Ca; bridge: Ca; taught: TaughtAnchors }> {
  const old = await makeCa('old');
  const next = await makeCa('new');
  const bridge = await makeCa('new', { key: next.key, issuer: old });
  return { old, next, bridge, taught: learn(undefined, [old.certificate], vouchers).taught };
}

test('are the self-signed CA certificates of the first answer', async () => {
  const root = await makeCa('root');
  const issuing = await makeCa('issuing', { issuer: root });
  const expired = await makeCa('expired', { notAfter: new Date('2026-02-01T00:00:00Z') });
  const leaf = await makeCa('leaf', { isCa: false });
  const all = [issuing, root, expired, leaf, root].map(({ certificate }) => certificate);
  const { taught, added, refused } = learn(undefined, all, vouchers);
  assert.equal(namesOf(taught.roots), ['CN=root']);
  assert.equal(namesOf(anchorsFor(taught)), ['CN=root']);
  assert.equal(namesOf(taught.intermediates), ['CN=issuing']);
  assert.equal([namesOf(added), refused.length], [['CN=root'], 0]);
});

test('are the topmost CA, not for TLS, when the first answer has no root', async () => {
  const root = await makeCa('root');
  const middle = await makeCa('middle', { issuer: root });
  const issuing = await makeCa('issuing', { issuer: middle });
  const { taught } = learn(undefined, [issuing.certificate, middle.certificate], vouchers);
  assert.equal(namesOf(anchorsFor(taught)), ['CN=middle']);
  assert.equal(tlsAnchorsOf(taught, now), []);
});

test('grow by a root whose name and key a taught root has signed', async () => {
  const { next, bridge, taught } = await rollover();
  const lesson = learn(taught, [next.certificate, bridge.certificate], vouchers);
  assert.equal(namesOf(lesson.added), ['CN=new']);
  assert.equal(namesOf(lesson.taught.roots), ['CN=old', 'CN=new']);
  // NewWithOld goes along until the old root ends
  assert.is(tlsAnchorsOf(lesson.taught, now).length, 3);
  assert.is(tlsAnchorsOf(lesson.taught, new Date('2046-06-01T00:00:00Z')).length, 2);
});

test('grow by a chain of roots', async () => {
  const { next, bridge, taught } = await rollover();
  const third = await makeCa('third');
  const second = await makeCa('third', { key: third.key, issuer: next });
  const all = [third, second, next, bridge].map(({ certificate }) => certificate);
  assert.equal(namesOf(learn(taught, all, vouchers).taught.roots), [
    'CN=old',
    'CN=new',
    'CN=third',
  ]);
});

test('grow by a root that is configured as trusted', async () => {
  const { next, taught } = await rollover();
  const trusted = [next.certificate];
  assert.is(learn(taught, [next.certificate], { trusted, now }).added.length, 1);
});

test('do not grow by a root that nothing vouches for', async () => {
  const { next, taught } = await rollover();
  const lesson = learn(taught, [next.certificate], vouchers);
  assert.equal(namesOf(lesson.refused), ['CN=new']);
  assert.equal(namesOf(lesson.taught.roots), ['CN=old']);
});

/** As any other bad answer of the server, which is not for good. */
const isRefusal = (error: unknown): boolean =>
  isServiceError(error, 'Unavailable') && /more than 2000 signature checks/.test(error.message);

test('are refused when it takes more than 2000 signature checks to find the topmost CA', async () => {
  const absent = await makeCa('alike');
  const alike = Array.from({ length: 50 }, () => makeCa('alike', { issuer: absent }));
  const offered = (await Promise.all(alike)).map(({ certificate }) => certificate);
  assert.is(learn(undefined, offered.slice(0, 40), vouchers).added.length, 32);
  assert.throws(() => learn(undefined, offered, vouchers), isRefusal);
});

test('are refused when it takes more than 2000 signature checks to follow a chain of roots', async () => {
  const first = await makeCa('root');
  const { taught } = learn(undefined, [first.certificate], vouchers);
  const offered: Certificate[] = [];
  let before = first;
  for (let count = 1; count <= 24; count++) {
    const root = await makeCa('root');
    const bridge = await makeCa('root', { key: root.key, issuer: before });
    offered.unshift(root.certificate, bridge.certificate); // the worst order
    before = root;
  }
  assert.is(learn(taught, offered.slice(-20), vouchers).added.length, 10);
  assert.throws(() => learn(taught, offered, vouchers), isRefusal);
});

const impostors: Readonly<Record<string, (parts: { old: Ca; next: Ca }) => Promise<Ca>>> = {
  'the old root signed by the new': ({ old, next }) =>
    makeCa('old', { key: old.key, issuer: next }),
  'the name of the new root with another key': ({ old }) => makeCa('new', { issuer: old }),
  'the key of the new root with another name': ({ old, next }) =>
    makeCa('other', { key: next.key, issuer: old }),
  'an expired NewWithOld': ({ old, next }) =>
    makeCa('new', { key: next.key, issuer: old, notAfter: new Date('2026-02-01T00:00:00Z') }),
  'a NewWithOld without the CA flag': ({ old, next }) =>
    makeCa('new', { key: next.key, issuer: old, isCa: false }),
  'a NewWithOld signed by a stranger of the same name': async ({ next }) =>
    makeCa('new', { key: next.key, issuer: await makeCa('old') }),
};

for (const [name, make] of Object.entries(impostors)) {
  test(`do not grow by ${name}`, async () => {
    const { old, next, taught } = await rollover();
    const impostor = await make({ old, next });
    const offered = [next.certificate, impostor.certificate];
    assert.equal(namesOf(learn(taught, offered, vouchers).taught.roots), ['CN=old']);
  });
}

test('do not grow by a NewWithOld whose signature can be forged', async () => {
  const { next, bridge, taught } = await rollover();
  for (const signatureAlgorithm of ['ecdsa-sha1', 'rsa-pkcs1-md5', 'rsa-pss-sha1']) {
    const forged = Object.create(bridge.certificate, {
      signatureAlgorithm: { value: signatureAlgorithm },
    }) as Certificate; // as it is but for that
    assert.equal(namesOf(learn(taught, [next.certificate, forged], vouchers).added), []);
  }
});

test('do not shrink when a root is not offered any more', async () => {
  const { old, next, bridge, taught } = await rollover();
  const both = learn(taught, [next.certificate, bridge.certificate], vouchers).taught;
  const later = learn(both, [next.certificate], vouchers).taught;
  assert.equal(namesOf(later.roots), ['CN=old', 'CN=new']);
  assert.is(later.newWithOld.length, 1);
  assert.ok(old.certificate.fingerprint === later.roots[0]?.fingerprint);
});

test('are vouched for only by roots that are valid', async () => {
  const old = await makeCa('old', { notAfter: new Date('2027-01-01T00:00:00Z') });
  const next = await makeCa('new');
  const bridge = await makeCa('new', { key: next.key, issuer: old });
  const { taught } = learn(undefined, [old.certificate], vouchers);
  const offered = [next.certificate, bridge.certificate];
  assert.is(learn(taught, offered, vouchers).refused.length, 0);
  const late = { trusted: [], now: new Date('2028-01-01T00:00:00Z') };
  assert.is(learn(taught, offered, late).refused.length, 1);
});

test.run();
