/** Concurrent changes of certificates: which wait for which, and what is published in the end. */
import { setImmediate as turn } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { CertificateCatalog } from '../../../src/certificates/catalog.ts';
import type { CertificateEntry } from '../../../src/certificates/certificate-entry.ts';
import { Storage } from '../../../src/certificates/storage.ts';
import { TrustBundle } from '../../../src/certificates/trust-bundle.ts';
import { type CertificateId, parseCertificateId } from '../../../src/ids.ts';
import { encodeCertificatesPem } from '../../../src/x509/certificate.ts';
import { failureOf } from '../../support/failure.ts';
import { suite } from '../../support/timed-suite.ts';
import { via } from '../../support/via.ts';
import { makeCa, makeKey } from '../../support/x509/openssl.ts';
import { configOf, Rig, sha256 } from './rig.ts';

const test = suite('changes of certificates');

const key = makeKey('ed25519');
const one = await makeCa({ name: 'CN=one', key });
const two = await makeCa({ name: 'CN=two', key: makeKey('ed25519') });
const dataOf = ({ der }: { readonly der: Buffer }) => ({ data: der, format: 'der' });
const pem = (...all: Parameters<typeof encodeCertificatesPem>[0][number][]) =>
  encodeCertificatesPem(all);
const x = parseCertificateId('x');
const replace = { ifExists: 'replace' };

/** A promise that is pending until the gate is opened. */
function gate() {
  let open = (): void => undefined;
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, passed };
}

/** A rig in which no lookup finds the key `slow` before the gate is opened. */
async function slowRig(settings = {}) {
  const rig = await Rig.start(settings);
  const { open, passed } = gate();
  const contradicts = rig.keys.contradicts.bind(rig.keys);
  rig.keys.contradicts = async (id, spki) => {
    if (id === 'slow') await passed;
    return contradicts(id, spki);
  };
  return { rig, open };
}

/** Long enough for a change that waits for the disk only. */
async function settled(): Promise<void> {
  for (let count = 0; count < 200; count++) await turn();
}

test('of one certificate do not wait for another one whose key is unreachable', async () => {
  const { rig, open } = await slowRig({ trust_bundle: ['a', 'b'] });
  await using _ = rig;
  const slow = rig.service.import('a', dataOf(one), { keyId: 'slow' });
  await rig.service.import('b', dataOf(two), {});
  assert.equal([...rig.published.objects.keys()], ['b']);
  assert.is(rig.published.digest, sha256(pem(two)));
  await rig.service.delete(parseCertificateId('b'));
  await rig.service.import('b', dataOf(two), {});
  open();
  await slow;
  assert.is(rig.published.digest, sha256(pem(one, two)));
});

test('of the same certificate run in the order of the requests', async () => {
  const { rig, open } = await slowRig();
  await using _ = rig;
  const all = Promise.all([
    failureOf(rig.service.import('x', dataOf(one), { keyId: 'slow' })),
    failureOf(rig.service.delete(x)),
    failureOf(rig.service.import('x', dataOf(two), {})),
    failureOf(rig.service.import('x', dataOf(one), {})),
  ]);
  await settled();
  assert.is(rig.published.objects.size, 0);
  open();
  assert.equal(await all, ['no failure', 'no failure', 'no failure', 'AlreadyExists']);
  assert.is(rig.published.objects.get('x')?.Subject, 'CN=two');
});

test('run after one that failed', async () => {
  const { rig, open } = await slowRig();
  await using _ = rig;
  rig.keys.add('slow', makeKey('ed25519'));
  const refused = failureOf(rig.service.import('x', dataOf(one), { keyId: 'slow' }));
  const next = rig.service.import('x', dataOf(two), {});
  open();
  assert.is(await refused, 'InvalidArgs');
  await next;
  assert.is(rig.published.objects.get('x')?.Subject, 'CN=two');
});

test('preserve their order when the configuration is reloaded in between', async () => {
  const { rig, open } = await slowRig({ trust_bundle: ['x'] });
  await using _ = rig;
  const before = rig.service.import('x', dataOf(one), { keyId: 'slow' });
  const next = await rig.service.reconfigured(configOf({ trust_bundle: ['x', 'y'] }));
  const after = next.import(x, dataOf(two), { ...replace, via });
  await next.import(parseCertificateId('y'), dataOf(two), { via });
  assert.equal([...rig.published.objects.keys()], ['y']);
  open();
  await Promise.all([before, after]);
  await next.publishInPlaceOf(rig.service);
  assert.is(rig.published.objects.get('x')?.Subject, 'CN=two');
  assert.is(rig.published.digest, sha256(pem(two)));
  assert.equal(rig.published.problems, []);
});

test('of many certificates at once are all in the trust bundle in the end', async () => {
  const ids = Array.from({ length: 20 }, (_, at) => `part-${at}`);
  await using rig = await Rig.start({ trust_bundle: ids });
  await Promise.all(ids.map((id, at) => rig.service.import(id, dataOf(at === 7 ? two : one), {})));
  assert.is(rig.published.digest, sha256(pem(one, two)));
  await Promise.all(ids.slice(1).map((id) => rig.service.delete(parseCertificateId(id))));
  assert.is(rig.published.digest, sha256(pem(one)));
  assert.is(rig.published.problems.length, 19);
  const again = await Rig.start({ trust_bundle: ids }, rig.directory);
  assert.is(again.published.digest, sha256(pem(one)));
});

test('are in the trust bundle whichever read of it ends last', async () => {
  await using rig = await Rig.start();
  const { published: objects, keys, est, commands, disk } = rig;
  const storage = await Storage.open(`${rig.directory}/others`);
  const services = { keys, est, commands, objects, disk, now: () => rig.now };
  const parts = { config: configOf(), storage, ...services };
  const { open, passed } = gate();
  const slow = new SlowCatalog(parts, passed);
  const bundle = new TrustBundle({ trust_bundle: ['x'] }, slow, objects);
  await storage.put({ id: x, chain: [one], keyId: '', preloaded: false }, { replaces: false });
  const outdated = bundle.publish();
  await storage.put({ id: x, chain: [two], keyId: '', preloaded: false }, { replaces: true });
  await bundle.publish();
  assert.is(objects.digest, sha256(pem(two)));
  open();
  await outdated;
  assert.is(objects.digest, sha256(pem(two)));
});

test('never publish again a certificate that was deleted during its key lookup', async () => {
  await using rig = await Rig.start();
  await rig.service.import('x', dataOf(one), {});
  rig.keys.add('own', key);
  const { open, passed } = gate();
  const lookup = rig.keys.lookup.bind(rig.keys);
  rig.keys.lookup = () => {
    const keys = lookup();
    return { ...keys, find: (...args) => passed.then(() => keys.find(...args)) };
  };
  const read = rig.service.get('x');
  await settled();
  await rig.service.delete(x);
  open();
  assert.is((await read).key_id, 'own');
  assert.is(rig.published.objects.size, 0);
});

/** Certificates of which the first one that is read is returned late. */
class SlowCatalog extends CertificateCatalog {
  readonly #passed: Promise<void>;
  #reads = 0;

  constructor(parts: ConstructorParameters<typeof CertificateCatalog>[0], passed: Promise<void>) {
    super(parts);
    this.#passed = passed;
  }

  override async require(id: CertificateId): Promise<CertificateEntry> {
    const held = await super.require(id);
    if (this.#reads++ === 0) await this.#passed;
    return held;
  }
}

test.run();
