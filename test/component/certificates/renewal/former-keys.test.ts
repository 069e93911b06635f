/** The keys of former certificates, with a new key at each renewal. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { CertificateEntry } from '../../../../src/certificates/certificate-entry.ts';
import { SelfSignedIssuer } from '../../../../src/certificates/issuers/self-signed.ts';
import { importedOver, withoutCertificate } from '../../../../src/certificates/renewal/changes.ts';
import { orderRuleFor } from '../../../../src/certificates/renewal/order-rule.ts';
import { maxFormer } from '../../../../src/certificates/renewal/transitions.ts';
import { via } from '../../../support/via.ts';
import { Crash, config, type Device, day, Fuse, id, onDevice } from './device.ts';

const test = suite('keys of former certificates');
const hour = day / 24;
const keyOf = (n: number): string => `iotedge/certificate/x${n === 1 ? '' : `@${n}`}`;
const keysOf = (...all: readonly number[]): readonly string[] => all.map(keyOf);
const upTo = (first: number, last: number): readonly string[] =>
  keysOf(...Array.from({ length: last - first + 1 }, (_, at) => first + at));
const present = (device: Device): readonly string[] => [...device.keys.ids.keys()];

/** Moves the clock of a device to this hour after its first certificate. */
function goTo(device: Device, start: Date, hours: number): void {
  device.now = new Date(start.getTime() + hours * hour);
}

async function renew(device: Device): Promise<void> {
  const { executor } = await device.start();
  await executor.order(id, () => ({ rule: device.rule(), isNewKey: undefined }), via);
  await device.work();
}

/** A device with a certificate that is renewed once an hour, so often. */
async function onRenewed(
  renewals: number,
  run: (device: Device, start: Date) => Promise<void>,
): Promise<void> {
  await onDevice(async (device) => {
    device.rule = () => ({ ...orderRuleFor(config, id), keyPolicy: 'rotate' });
    const start = device.now;
    await device.work();
    for (let n = 1; n <= renewals; n++) {
      goTo(device, start, n);
      await renew(device);
    }
    await run(device, start);
  });
}

test('stay for the grace period that began when their successors became current', async () => {
  await onRenewed(4, async (device, start) => {
    assert.equal(present(device), upTo(1, 5));
    for (let n = 1; n <= 4; n++) {
      goTo(device, start, 24 + n - 0.01);
      await device.work();
      assert.equal(present(device), upTo(n, 5), `before the end for key ${n}`);
      goTo(device, start, 24 + n);
      await device.work();
      assert.equal(present(device), upTo(n + 1, 5), `at the end for key ${n}`);
    }
    await device.current();
  });
});

test('are deleted once, wherever that is interrupted', async () => {
  for (let at = 0, isDone = false; !isDone; at++) {
    await onRenewed(3, async (device, start) => {
      goTo(device, start, 26);
      const fuse = new Fuse(at);
      await device.work(fuse).catch((error: unknown) => {
        if (!(error instanceof Crash)) throw error;
      });
      assert.equal(present(device).slice(-2), keysOf(3, 4), `at ${at}`);
      await device.work();
      assert.equal(present(device), keysOf(3, 4), `at ${at}`);
      isDone = !fuse.hasBlown;
    });
    if (isDone) assert.ok(at >= 10, `only ${at} effects`);
  }
});

test('are bounded in number: the oldest is deleted early, which is logged', async () => {
  await onRenewed(maxFormer, async (device, start) => {
    assert.equal(present(device), upTo(1, maxFormer + 1));
    assert.equal(device.warnings, []);
    for (let n = 1; n <= 3; n++) {
      goTo(device, start, maxFormer + n);
      await renew(device);
      const { entry } = await device.current();
      assert.is(entry.enrolment?.previous.length, maxFormer);
      assert.is(device.keys.ids.size, maxFormer + 1);
      assert.not(device.keys.ids.has(keyOf(n)));
      const text = `former key retired early ${id} ${keyOf(n)}`;
      assert.is(device.warnings.at(-1), text);
      assert.is(device.warnings.length, n);
    }
  });
});

test('stay no longer than a day when the clock was ahead as their successor became current', async () => {
  await onDevice(async (device) => {
    // the clock of the issuer is right
    const own = new SelfSignedIssuer();
    const lateMs = 10 * day;
    device.issuer = {
      submit: (order) => own.submit({ ...order, now: new Date(order.now.getTime() - lateMs) }),
    };
    device.rule = () => ({ ...orderRuleFor(config, id), keyPolicy: 'rotate' });
    const start = device.now;
    await device.work();
    goTo(device, start, 1);
    await renew(device);
    goTo(device, start, -24 * 9);
    await device.work();
    const { entry } = await device.current();
    assert.is(entry.keyId, keyOf(2));
    assert.is(entry.enrolment?.previous[0]?.until, device.now.getTime() + day);
    goTo(device, start, -24 * 8);
    await device.work();
    assert.equal(present(device), keysOf(2));
  });
});

/** Replaces the record of a device by a call, and deletes what is left over. */
async function change(
  device: Device,
  to: (entry: CertificateEntry) => CertificateEntry,
): Promise<void> {
  const { executor, records } = await device.start();
  const entry = records.get(id);
  assert.ok(entry);
  assert.ok(await records.replace(entry, to(entry)));
  await executor.tidy(id, via);
}

test('are all deleted with the certificate', async () => {
  await onRenewed(5, async (device) => {
    await change(device, (entry) => {
      assert.ok(entry.enrolment);
      return withoutCertificate(entry, entry.enrolment);
    });
    assert.equal(present(device), []);
    const { records } = await device.start();
    assert.is(records.get(id), undefined);
  });
});

test('are deleted when a certificate is imported, but for the one that it replaces and its own', async () => {
  for (const isFormer of [false, true]) {
    await onRenewed(4, async (device) => {
      const { entry: before } = await device.current();
      const chain = isFormer ? before.enrolment?.previous.at(-2)?.chain : before.chain;
      assert.ok(chain);
      await change(device, (entry) => importedOver(entry, { id, chain, keyId: '' }, device.now));
      const { entry } = await device.current();
      assert.is(entry.keyId, keyOf(isFormer ? 2 : 5));
      assert.equal(present(device), isFormer ? keysOf(2, 5) : keysOf(5));
    });
  }
});

test.run();
