/** Enrolments and renewals that are interrupted at each of their effects, with keys and time of this process. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Issuer } from '../../../../src/certificates/issuers/issuer.ts';
import { SelfSignedIssuer } from '../../../../src/certificates/issuers/self-signed.ts';
import { certificateProperties } from '../../../../src/certificates/properties.ts';
import { orderRuleFor } from '../../../../src/certificates/renewal/order-rule.ts';
import { keyMade } from '../../../../src/certificates/renewal/transitions.ts';
import { ServiceError } from '../../../../src/errors.ts';
import { parseCsr } from '../../../../src/x509/csr.ts';
import { parseAlternativeName } from '../../../../src/x509/subject-alternative-name.ts';
import { via } from '../../../support/via.ts';
import { configOf } from '../rig.ts';
import { Crash, config, type Device, day, Fuse, id, onDevice } from './device.ts';

const test = suite('the executor of enrolments');

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

test('submits an order anew once what was pending was rejected, or has led to a useless certificate', async () => {
  await onDevice(async (device) => {
    const spare = await device.keys.createPair('spare').then(() => device.keys.publicKey('spare'));
    const issuer = new SelfSignedIssuer();
    const pending = { kind: 'pending', cookie: 'c1', retryAfterS: 3600 } as const;
    const no = { kind: 'rejected', reason: 'no', isFinal: false, retryAfterS: 3600 } as const;
    const useless: Issuer['submit'] = async (order) => {
      const answer = await issuer.submit(order);
      if (answer.kind !== 'issued') return answer;
      const chain = answer.chain.map((one) => ({ ...one, spki: spare ?? one.spki }));
      return { kind: 'issued', chain };
    };
    const cookies: (string | undefined)[] = [];
    for (const answer of [pending, no, { ...no, isDecided: true }, pending, useless, pending]) {
      device.issuer = {
        submit: async (order, on) => {
          cookies.push(order.cookie);
          return typeof answer === 'function' ? answer(order, on) : answer;
        },
      };
      await device.work();
      device.now = new Date(device.now.getTime() + day);
    }
    assert.equal(cookies, [undefined, 'c1', 'c1', undefined, 'c1', undefined]);
  });
});

test('requests what a changed rule says at once, in place of an order that waits', async () => {
  await onDevice(async (device) => {
    const requests: Buffer[] = [];
    device.issuer = {
      submit: ({ request }) => {
        requests.push(request);
        return Promise.reject(new ServiceError('Unavailable', 'away'));
      },
    };
    await device.work();
    const certificates = { x: { method: 'self_signed', dns: ['new.example'] } };
    const changed = configOf({ certificates });
    device.rule = () => orderRuleFor(changed, id);
    await device.work();
    const names = requests.map((csr) => parseCsr(csr).requested.alternativeNames);
    assert.equal(names, [[], [parseAlternativeName('dns', 'new.example')]]);
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
    const later = (await device.start()).records;
    const same = later.get(id);
    if (same === undefined) throw new Error('no order');
    await later.replace(same, keyMade(same, { ...former, csr: undefined }));
    device.now = new Date(device.now.getTime() + day);
    await device.work();
    assert.equal(seen[2], order.template, 'a record without either is completed');
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

test('is stuck with a certificate that lives no longer than the present one, and asks again before that ends', async () => {
  await onDevice(async (device) => {
    await device.work();
    const { certificate, entry } = await device.current();
    const end = certificate.notAfter.getTime();
    device.rule = () => ({ ...orderRuleFor(config, id), lifetimeS: (3 * day) / 1000 });
    device.now = new Date(device.now.getTime() + 26 * day);
    const left = end - device.now.getTime();
    await device.work();
    const [{ nextAttempt } = { nextAttempt: 0 }, ...more] = device.failures;
    assert.is(more.length, 0, 'once');
    const logged = device.errors.map((fields) =>
      new Map<string, unknown>(Object.entries(fields)).get('nextAttempt'),
    );
    assert.equal(logged, [new Date(nextAttempt).toISOString()]);
    const delay = nextAttempt - device.now.getTime();
    assert.ok(delay >= left / 3 - 1 && delay <= (left * 2) / 3 + 1, `after ${delay} of ${left}`);
    const { entry: stuck } = await device.current();
    const view = { now: device.now, keyId: '', renewAt: undefined, operation: '', waitReason: '' };
    const { State, NextAttempt } = certificateProperties(stuck, view).compute();
    assert.equal([State, NextAttempt], ['stuck', BigInt(nextAttempt) * 1000n]);
    device.now = new Date(nextAttempt);
    await device.work();
    const renewed = await device.current();
    assert.ok(renewed.certificate.notAfter > certificate.notAfter);
    assert.is(renewed.entry.keyId, stuck.enrolment?.order?.keyId);
    assert.is.not(renewed.entry.keyId, entry.keyId);
  });
});

test('is stuck when the issuer refuses for good', async () => {
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
    const fields = { certificateId: id, issuer: '', messageId: '6d1f0c6e7b0f4c7f9a5d0a9f3f4b8e21' };
    assert.equal(
      device.errors.map((found) => ({ ...found, reason: undefined })),
      [{ ...fields, reason: undefined }],
    );
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

test('says that the clock is behind where what was issued becomes valid much later', async () => {
  for (const [minutes, wanted] of [
    [9, ''],
    [11, 'the clock is behind: the issued certificate becomes valid at 2026-06-01T00:11:00.000Z'],
  ] as const) {
    await onDevice(async (device) => {
      const own = new SelfSignedIssuer();
      const later = new Date(device.now.getTime() + (minutes + 5) * 60_000);
      device.issuer = { submit: (order) => own.submit({ ...order, now: later }) };
      await device.work();
      const { executor, records } = await device.start();
      const entry = records.get(id);
      assert.ok(entry !== undefined && entry.chain.length === 0);
      assert.is(executor.waitReason(entry, device.now), wanted);
      device.now = later;
      await device.work();
      await device.current();
    });
  }
});

test.run();
