import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { AnchorStore } from '../../../../../src/certificates/est/trust/anchor-store.ts';
import { makeCa } from '../../../../support/est/ca.ts';

const test = suite<{ directory?: string }>('EST anchor store');
const vouchers = { trusted: [], now: new Date('2026-06-01T00:00:00Z') };
const source = { url: 'https://est.example', trustedCa: ['/etc/root.pem'] };

test.before.each(async (context) => {
  context.directory = await mkdtemp(join(tmpdir(), 'iotedge-anchors-'));
});

test.after.each(async ({ directory = '' }) => {
  await rm(directory, { recursive: true, force: true });
});

test('remembers what an issuer has taught', async ({ directory = '' }) => {
  const root = await makeCa('root');
  const issuing = await makeCa('issuing', { issuer: root });
  const store = await AnchorStore.open(directory);
  assert.is(store.taughtBy('hq', source), undefined);
  await store.learn('hq', source, [root.certificate, issuing.certificate], vouchers);
  const again = (await AnchorStore.open(directory)).taughtBy('hq', source);
  assert.equal(
    [again?.roots, again?.intermediates].map((list) => list?.map(({ fingerprint }) => fingerprint)),
    [[root.certificate.fingerprint], [issuing.certificate.fingerprint]],
  );
  assert.is(store.taughtBy('branch', source), undefined);
});

for (const [what, other] of [
  ['url', { ...source, url: 'https://other.example' }],
  ['trusted_ca', { ...source, trustedCa: [] }],
] as const) {
  test(`forgets when ${what} changes, and learns anew`, async ({ directory = '' }) => {
    const [first, second] = [await makeCa('first'), await makeCa('second')];
    const store = await AnchorStore.open(directory);
    await store.learn('hq', source, [first.certificate], vouchers);
    assert.is(store.taughtBy('hq', other), undefined);
    const { taught } = await store.learn('hq', other, [second.certificate], vouchers);
    assert.equal(
      taught.roots.map(({ subjectText }) => subjectText),
      ['CN=second'],
    );
    assert.is(store.taughtBy('hq', source), undefined);
  });
}

test('learns nothing from an answer without a CA', async ({ directory = '' }) => {
  const leaf = await makeCa('leaf', { isCa: false });
  const store = await AnchorStore.open(directory);
  await store.learn('hq', source, [leaf.certificate], vouchers);
  assert.is(store.taughtBy('hq', source), undefined);
  assert.equal(await readdir(directory), []);
});

test('writes nothing when nothing changed', async ({ directory = '' }) => {
  const root = await makeCa('root');
  const store = await AnchorStore.open(directory);
  await store.learn('hq', source, [root.certificate], vouchers);
  const file = join(directory, (await readdir(directory))[0] ?? '');
  const before = await stat(file, { bigint: true });
  await store.learn('hq', source, [root.certificate], vouchers);
  assert.is((await stat(file, { bigint: true })).ino, before.ino);
});

test('takes any name of an issuer', async ({ directory = '' }) => {
  const root = await makeCa('root');
  const store = await AnchorStore.open(directory);
  const name = '../a b\u00fc';
  await store.learn(name, source, [root.certificate], vouchers);
  assert.is((await AnchorStore.open(directory)).taughtBy(name, source)?.roots.length, 1);
});

test('learns two answers at once one after the other', async ({ directory = '' }) => {
  const old = await makeCa('old');
  const store = await AnchorStore.open(directory);
  await store.learn('hq', source, [old.certificate], vouchers);
  const roots = await Promise.all(['a', 'b'].map((name) => makeCa(name)));
  await Promise.all(
    roots.map(async (root) => {
      const bridge = await makeCa(root.certificate.subjectText.slice(3), {
        key: root.key,
        issuer: old,
      });
      const offered = [root.certificate, bridge.certificate];
      return store.learn('hq', source, offered, vouchers);
    }),
  );
  assert.is(store.taughtBy('hq', source)?.roots.length, 3);
});

test.run();
