/** Enrolments and renewals that are interrupted at each of their effects, with keys and time of this process. */
import { type KeyObject } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Issuer } from '../../../../src/certificates/issuers/issuer.ts';
import { SelfSignedIssuer } from '../../../../src/certificates/issuers/self-signed.ts';
import type { OrderKeys } from '../../../../src/certificates/keys/keys-client.ts';
import type { FailedAttempt } from '../../../../src/certificates/renewal/attempts.ts';
import { Executor } from '../../../../src/certificates/renewal/executor.ts';
import { orderRuleFor } from '../../../../src/certificates/renewal/order-rule.ts';
import { Records } from '../../../../src/certificates/renewal/records.ts';
import { keyMade } from '../../../../src/certificates/renewal/transitions.ts';
import { Storage } from '../../../../src/certificates/storage.ts';
import { ServiceError } from '../../../../src/errors.ts';
import { parseCertificateId } from '../../../../src/ids.ts';
import { KeyedMutex } from '../../../../src/service/mutex.ts';
import { spkiOf } from '../../../../src/x509/algorithm.ts';
import { silentLog } from '../../../support/log.ts';
import { via } from '../../../support/via.ts';
import { makeKey } from '../../../support/x509/openssl.ts';
import { configOf, LocalKeys } from '../rig.ts';

const test = suite('the executor of enrolments');
const id = parseCertificateId('x');
const day = 86_400_000;
const config = configOf({ certificates: { x: { method: 'self_signed', lifetime: '30d' } } });

class Crash extends Error {}

/** Ends the process before or after one of its effects. */
class Fuse {
  #left: number;

  constructor(effects: number) {
    this.#left = effects;
  }

  get hasBlown(): boolean {
    return this.#left < 0;
  }

  async around<T>(effect: () => Promise<T>): Promise<T> {
    if (this.#left-- <= 0) throw new Crash();
    const result = await effect();
    if (this.#left-- <= 0) throw new Crash();
    return result;
  }
}

class MadeKeys extends LocalKeys implements OrderKeys {
  readonly ids = new Map<string, KeyObject>();
  fuse = new Fuse(Number.POSITIVE_INFINITY);

  createPair(keyId: string): Promise<void> {
    return this.fuse.around(async () => {
      const key = this.ids.get(keyId) ?? makeKey('ec-p256');
      this.ids.set(keyId, key);
      this.add(keyId, key);
    });
  }

  async publicKey(keyId: string): Promise<Buffer | undefined> {
    const key = this.ids.get(keyId);
    return key && spkiOf(key);
  }

  deleteKey(keyId: string): Promise<void> {
    return this.fuse.around(async () => {
      this.ids.delete(keyId);
      this.delete(keyId);
    });
  }
}

class CrashingRecords extends Records {
  fuse = new Fuse(Number.POSITIVE_INFINITY);

  override replace(...change: Parameters<Records['replace']>): Promise<boolean> {
    return this.fuse.around(() => super.replace(...change));
  }
}

/** A device whose process can be started again on its state. */
class Device {
  now = new Date('2026-06-01T00:00:00Z');
  readonly keys = new MadeKeys();
  issuer: Issuer = new SelfSignedIssuer();
  readonly failures: FailedAttempt[] = [];
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  rule = () => orderRuleFor(config, id);

  async start(fuse = new Fuse(Number.POSITIVE_INFINITY)) {
    const storage = await Storage.open(this.#directory);
    const changes = new KeyedMutex<typeof id>();
    const records = new CrashingRecords({ storage, changes, changed: async () => {} });
    records.fuse = fuse;
    this.keys.fuse = fuse;
    const executor = new Executor({
      records,
      keys: this.keys,
      issuing: () => ({ ruleOf: () => this.rule(), issuerOf: () => this.issuer }),
      onFailure: (failure) => this.failures.push(failure),
      log: silentLog,
      now: () => this.now,
      random: () => 0.5,
    });
    return { executor, records, storage };
  }

  /** Does what is due, and begins with an order when there is no certificate. */
  async work(fuse?: Fuse): Promise<void> {
    const { executor, records } = await this.start(fuse);
    if (records.get(id) === undefined) {
      await executor.order(id, { rule: this.rule(), isNewKey: undefined }, via);
    }
    await executor.advance(id, via);
    await executor.tidy(id, via);
  }

  async current() {
    const { storage } = await this.start();
    const entry = storage.get(id);
    const [certificate] = entry?.chain ?? [];
    assert.ok(entry !== undefined && certificate !== undefined, 'no certificate');
    const spki = await this.keys.publicKey(entry.keyId);
    assert.ok(spki?.equals(certificate.spki), 'the certificate has no key');
    return { entry, certificate };
  }
}

async function onDevice(run: (device: Device) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'iotedge-executor-'));
  try {
    await run(new Device(directory));
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** Runs work that is interrupted at the effect of this number, and again; returns whether it was interrupted. */
async function interrupted(device: Device, at: number): Promise<boolean> {
  const fuse = new Fuse(at);
  try {
    await device.work(fuse);
  } catch (error) {
    if (!(error instanceof Crash)) throw error;
  }
  if (fuse.hasBlown) await device.work();
  return fuse.hasBlown;
}

test('gets a certificate and one key, wherever it is interrupted', async () => {
  for (let at = 0, isDone = false; !isDone; at++) {
    await onDevice(async (device) => {
      isDone = !(await interrupted(device, at));
      await device.current();
      assert.equal([...device.keys.ids.keys()], ['iotedge/certificate/x'], `at ${at}`);
    });
    if (isDone) assert.ok(at >= 8, `only ${at} effects`);
  }
});

test('renews with a usable certificate at any time, wherever it is interrupted', async () => {
  for (let at = 0, isDone = false; !isDone; at++) {
    await onDevice(async (device) => {
      await device.work();
      const before = await device.current();
      device.now = new Date(device.now.getTime() + 26 * day);
      isDone = !(await interrupted(device, at));
      const after = await device.current();
      assert.ok(after.certificate.notAfter > before.certificate.notAfter, `at ${at}`);
      assert.equal(device.keys.ids.size, 2, 'the former key in its grace period');
      device.now = new Date(device.now.getTime() + 2 * day);
      await interrupted(device, at);
      assert.equal([...device.keys.ids.keys()], [after.entry.keyId], `at ${at}`);
    });
  }
});

test('gets another key when the key of an order is lost, and a certificate when its own is lost', async () => {
  await onDevice(async (device) => {
    device.issuer = { submit: () => Promise.reject(new ServiceError('Unavailable', 'away')) };
    await device.work();
    assert.is(device.failures.length, 1);
    const [first = ''] = device.keys.ids.keys();
    await device.keys.deleteKey(first);
    device.issuer = new SelfSignedIssuer();
    for (let hour = 0; hour < 4; hour++) {
      device.now = new Date(device.now.getTime() + day / 24);
      await device.work();
    }
    const { entry } = await device.current();
    await device.keys.deleteKey(entry.keyId);
    const { executor } = await device.start();
    await executor.checkKeys(via);
    await executor.advance(id, via);
    assert.is.not((await device.current()).entry.keyId, entry.keyId);
  });
});

test('keeps the order, its CSR and its cookie while the issuer has not decided', async () => {
  await onDevice(async (device) => {
    const orders: string[] = [];
    device.issuer = {
      submit: ({ cookie, request: csr }) => {
        orders.push(`${cookie} ${csr.toString('hex').length > 0} ${csr.toString('hex')}`);
        return Promise.resolve({ kind: 'pending', cookie: 'c1', retryAfterS: 3600 });
      },
    };
    await device.work();
    await device.work();
    assert.is(orders.length, 1, 'not before the time that the issuer asks for');
    device.now = new Date(device.now.getTime() + 2 * 3_600_000);
    await device.work();
    const [[first, , csr], [second, , same]] = orders.map((text) => text.split(' ')) as [
      string[],
      string[],
    ];
    assert.equal([first, second], ['undefined', 'c1']);
    assert.is(csr, same);
  });
});

test('keeps the template of an order with EST, and submits the CSR that a former version kept', async () => {
  await onDevice(async (device) => {
    const seen: Buffer[] = [];
    device.rule = () => ({ ...orderRuleFor(config, id), method: 'est' });
    device.issuer = {
      submit: ({ request }) => {
        seen.push(request);
        return Promise.reject(new ServiceError('Unavailable', 'away'));
      },
    };
    await device.work();
    const { records } = await device.start();
    const entry = records.get(id);
    const { order } = entry?.enrolment ?? {};
    if (entry === undefined || order?.spki === undefined) throw new Error('no order');
    assert.equal([order.csr, order.template], [undefined, seen[0]]);
    assert.ok(order.template?.includes(order.spki));
    const former = { csr: Buffer.from('csr'), template: undefined, spki: order.spki };
    await records.replace(entry, keyMade(entry, former));
    device.now = new Date(device.now.getTime() + day);
    await device.work();
    assert.equal(seen[1], former.csr);
  });
});

test('orders with one new key when the issuer wants another, wherever it is interrupted', async () => {
  for (let at = 0, isDone = false; !isDone; at++) {
    await onDevice(async (device) => {
      device.rule = () => ({ ...orderRuleFor(config, id), keyPolicy: 'reuse' });
      await device.work();
      const before = await device.current();
      const seen = new Set<string>();
      const issuer = new SelfSignedIssuer();
      device.issuer = {
        submit: (order) => {
          seen.add(order.key.keyId);
          return seen.size === 1
            ? Promise.resolve({ kind: 'rekey', reason: 'used up' })
            : issuer.submit(order);
        },
      };
      device.now = new Date(device.now.getTime() + 26 * day);
      isDone = !(await interrupted(device, at));
      assert.ok((await device.current()).certificate.notAfter > before.certificate.notAfter);
      assert.is(seen.size, 2, `at ${at}`);
      assert.is(device.keys.ids.size, 2, 'the former key, and that of the certificate');
    });
  }
  await onDevice(async (device) => {
    const seen: string[] = [];
    device.issuer = {
      submit: ({ key }) => {
        seen.push(key.keyId);
        if (seen.length > 3) throw new ServiceError('NotSupported', 'too many keys');
        return Promise.resolve({ kind: 'rekey', reason: 'used up' });
      },
    };
    await device.work();
    await device.work();
    assert.equal(seen, ['iotedge/certificate/x', 'iotedge/certificate/x@2']);
    assert.equal([...device.keys.ids.keys()], ['iotedge/certificate/x@2']);
    assert.match(device.failures.map(({ reason }) => reason).join(), 'yet another key');
    const { storage } = await device.start();
    assert.is(storage.get(id)?.enrolment?.order?.isStuck, true);
  });
});

test('is stuck with a certificate that lives no longer than the present one', async () => {
  await onDevice(async (device) => {
    await device.work();
    const { certificate } = await device.current();
    device.issuer = {
      submit: () =>
        Promise.resolve({ kind: 'rejected', reason: 'no', isFinal: true, retryAfterS: undefined }),
    };
    device.now = new Date(device.now.getTime() + 26 * day);
    await device.work();
    await device.work();
    assert.equal(
      device.failures.map(({ nextAttempt }) => nextAttempt),
      [0],
      'once',
    );
    const { storage } = await device.start();
    assert.is(storage.get(id)?.enrolment?.order?.isStuck, true);
    assert.is((await device.current()).certificate.fingerprint, certificate.fingerprint);
  });
});

test('uses a short certificate that is dated back for half of the life that it has left', async () => {
  await onDevice(async (device) => {
    device.rule = () => ({ ...orderRuleFor(config, id), lifetimeS: 40 });
    await device.work();
    const { certificate } = await device.current();
    const serial = async () => (await device.current()).certificate.serialNumber;
    device.now = new Date(device.now.getTime() + 19_000);
    await device.work();
    assert.is(await serial(), certificate.serialNumber);
    device.now = new Date(device.now.getTime() + 2000);
    await device.work();
    assert.is.not(await serial(), certificate.serialNumber);
  });
});

test('uses the former certificate again when the clock was ahead at its renewal', async () => {
  await onDevice(async (device) => {
    await device.work();
    const { certificate } = await device.current();
    const time = device.now;
    device.now = new Date(time.getTime() + 3650 * day);
    await device.work();
    assert.is.not((await device.current()).certificate.fingerprint, certificate.fingerprint);
    device.now = new Date(time.getTime() + day);
    await device.work();
    assert.is((await device.current()).certificate.fingerprint, certificate.fingerprint);
  });
});

test('takes no key that was there before', async () => {
  await onDevice(async (device) => {
    await device.keys.createPair('iotedge/certificate/x');
    await device.work();
    assert.is((await device.current()).entry.keyId, 'iotedge/certificate/x@2');
  });
});

test('renews nothing while the clock was never set', async () => {
  await onDevice(async (device) => {
    await device.work();
    const { certificate } = await device.current();
    device.now = new Date(0);
    await device.work();
    assert.is((await device.current()).certificate.fingerprint, certificate.fingerprint);
    assert.is(device.keys.ids.size, 1);
    const { executor, records } = await device.start();
    const entry = records.get(id);
    assert.ok(entry);
    const reason = executor.waitReason(entry, device.now);
    assert.is(reason, 'the clock is at 1970-01-01 and was never set: nothing is renewed');
    assert.is(executor.waitReason(entry, new Date(60_000)), reason, 'it changes each minute');
    assert.is(executor.waitReason(entry, new Date('2026-06-02T00:00:00Z')), '');
  });
});

test.run();
