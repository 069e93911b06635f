/** Calls that order a certificate while a step of the service itself, or a configuration, changes the same record. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Answer } from '../../../../src/certificates/issuers/issuer.ts';
import { SelfSignedIssuer } from '../../../../src/certificates/issuers/self-signed.ts';
import type { KeyLookup } from '../../../../src/certificates/keys/keys-client.ts';
import { type EnrolArgs, Enrolments } from '../../../../src/certificates/renewal/enrolments.ts';
import { orderRuleFor } from '../../../../src/certificates/renewal/order-rule.ts';
import { ServiceError } from '../../../../src/errors.ts';
import { until } from '../../../support/deadline.ts';
import { failureOf } from '../../../support/failure.ts';
import { silentLog } from '../../../support/log.ts';
import { via } from '../../../support/via.ts';
import { config, type Device, day, id, onDevice } from './device.ts';

const test = suite('calls beside steps of the service itself');
const away = new ServiceError('Unavailable', 'away');
const any = { issuer: '' };

/** A started device with its enrolments. */
async function start(device: Device, isEnrolled?: () => boolean) {
  const { executor, records } = await device.start();
  const enrolments = new Enrolments({
    executor,
    records,
    ruleFor: (verb) => {
      if (verb === 'Renew' && records.get(id) === undefined) {
        throw new ServiceError('NotFound', 'no certificate');
      }
      return device.rule();
    },
    isEnrolled: (_id, { rotateKey }) => {
      const { chain = [], enrolment } = records.get(id) ?? {};
      if (isEnrolled !== undefined) return isEnrolled();
      return rotateKey !== true && (chain.length > 0 || enrolment?.successor !== undefined);
    },
    publish: () => undefined,
    log: silentLog,
    now: () => device.now,
    signal: new AbortController().signal,
  });
  const call = async (verb: 'enroll' | 'renew', args: EnrolArgs = any, isOwn = false) => {
    const request = { id, args, wait: true, requestId: 'r', isOwn };
    return (await enrolments.operations.begin(enrolments[verb], request)).outcome;
  };
  return {
    executor,
    records,
    enrolments,
    call,
    own: (verb: 'enroll' | 'renew') => call(verb, any, true),
  };
}

/** Lets a device have an order whose first attempt has failed. */
async function refused(device: Device): Promise<void> {
  device.issuer = { submit: () => Promise.reject(away) };
  await device.work();
  device.now = new Date(device.now.getTime() + day / 2);
}

/** An issuer that does something before each answer, and counts its orders. */
function issuing(device: Device, before: (orders: number) => Promise<Answer | undefined>) {
  const issuer = new SelfSignedIssuer();
  const seen: { readonly keyId: string; readonly cookie: string | undefined }[] = [];
  device.issuer = {
    submit: async (order) => {
      seen.push({ keyId: order.key.keyId, cookie: order.cookie });
      return (await before(seen.length)) ?? issuer.submit(order);
    },
  };
  return seen;
}

/** Calls once when the key of an issued certificate is looked up, before that becomes current. */
function onCommit(device: Device, isIssued: () => boolean, run: () => void): void {
  let isDone = false;
  const { keys } = device;
  const lookup = keys.lookup.bind(keys);
  keys.lookup = (): KeyLookup => {
    if (!isDone && isIssued()) {
      isDone = true;
      run();
    }
    return lookup();
  };
}

for (const [verb, late] of [
  ['enroll', false],
  ['renew', true],
] as const) {
  test(`${verb} joins a step that has just got a certificate, and orders no second one`, async () => {
    await onDevice(async (device) => {
      if (late) {
        await device.work();
        device.now = new Date(device.now.getTime() + 26 * day);
      } else await refused(device);
      const { call, own, records } = await start(device);
      const seen = issuing(device, async () => undefined);
      const before = records.get(id)?.chain;
      const hasSuccessor = (): boolean => records.get(id)?.enrolment?.successor !== undefined;
      let joined: Promise<string> | undefined;
      onCommit(device, hasSuccessor, () => {
        joined = failureOf(call(verb));
        // the key of another order is chosen when the certificate is current
        const { keys } = device;
        const publicKey = keys.publicKey.bind(keys);
        keys.publicKey = async (keyId) => {
          await until(5000, 'the commit', async () => records.get(id)?.chain !== before);
          return publicKey(keyId);
        };
      });
      await own(verb);
      assert.is(await joined, 'no failure');
      assert.is(seen.length, 1);
      const { chain, enrolment } = records.get(id) ?? {};
      assert.is(chain?.length, 1);
      assert.is(enrolment?.order, undefined);
      assert.is(device.keys.ids.size, late ? 2 : 1);
    });
  });
}

test('a certificate is taken when a call has joined while it was issued', async () => {
  await onDevice(async (device) => {
    await refused(device);
    const { call, own, records } = await start(device);
    let joined: Promise<string> | undefined;
    const seen = issuing(device, async () => {
      joined ??= failureOf(call('enroll'));
      await until(5000, 'the order of the call', async () => records.get(id) !== before);
      return undefined;
    });
    const before = records.get(id);
    await own('enroll');
    assert.equal([await joined, seen.length], ['no failure', 1]);
  });
});

test('a call that joins a step that fails makes an attempt of its own', async () => {
  await onDevice(async (device) => {
    await refused(device);
    const { call, own } = await start(device);
    let joined: Promise<string> | undefined;
    const { failures } = device;
    const before = failures.length;
    failures.push = (...failure) => {
      joined ??= failureOf(call('enroll'));
      return Array.prototype.push.apply(failures, failure);
    };
    const seen = issuing(device, async (orders) => {
      if (orders === 1) throw away;
      return undefined;
    });
    await own('enroll');
    assert.equal([await joined, seen.length, failures.length], ['no failure', 2, before + 1]);
  });
});

test('an order looks again at a record that changes while its key is chosen, not without an end', async () => {
  for (const [changes, failure] of [
    [3, 'no failure'],
    [1000, 'Unavailable'],
  ] as const) {
    await onDevice(async (device) => {
      await device.work();
      const { call, records } = await start(device);
      const { keys } = device;
      const publicKey = keys.publicKey.bind(keys);
      let count = 0;
      keys.publicKey = async (keyId) => {
        const entry = records.get(id);
        if (count++ < changes && entry !== undefined) await records.replace(entry, { ...entry });
        return publicKey(keyId);
      };
      assert.is(await failureOf(call('renew')), failure);
      assert.ok(count <= 100, `${count} tries`);
    });
  }
});

test('Enroll orders nothing when there is a certificate by the time its key is chosen', async () => {
  await onDevice(async (device) => {
    await device.work();
    const { call, executor, records } = await start(device, () => isEnrolled);
    const seen = issuing(device, async () => undefined);
    let isEnrolled = false;
    const { keys } = device;
    const publicKey = keys.publicKey.bind(keys);
    keys.publicKey = async (keyId) => {
      isEnrolled = true;
      await records.change(id, (entry) => entry && { ...entry });
      return publicKey(keyId);
    };
    assert.is(await failureOf(call('enroll')), 'no failure');
    assert.equal([seen.length, isEnrolled], [0, true]);
    assert.is(records.get(id)?.enrolment?.order, undefined);
    assert.not(executor.hasIssued(id));
  });
});

test('a call after a renewal is not for that, also while keys are deleted after it', async () => {
  await onDevice(async (device) => {
    await device.work();
    device.now = new Date(device.now.getTime() + 26 * day);
    const { call, own, records } = await start(device);
    const seen = issuing(device, async (orders) =>
      orders === 1 ? { kind: 'rekey', reason: 'used up' } : undefined,
    );
    const { keys } = device;
    const deleteKey = keys.deleteKey.bind(keys);
    let called: Promise<string> | undefined;
    keys.deleteKey = async (keyId) => {
      called ??= failureOf(call('renew'));
      return deleteKey(keyId);
    };
    await own('renew');
    assert.is(await called, 'no failure');
    assert.equal([seen.length, records.get(id)?.enrolment?.order], [3, undefined]);
  });
});

test('a call that joins a later operation is not for what an earlier one has got', async () => {
  await onDevice(async (device) => {
    await device.work();
    device.now = new Date(device.now.getTime() + 26 * day);
    const { call, own, records, enrolments } = await start(device);
    const seen = issuing(device, async () => undefined);
    await own('renew');
    // nothing is due
    const later = own('renew');
    assert.is.not(enrolments.operations.current(id), undefined);
    assert.is(await failureOf(call('renew')), 'no failure');
    await later;
    assert.equal([seen.length, records.get(id)?.enrolment?.order], [2, undefined]);
  });
});

test('an order of Renew ends with the certificate that is deleted while its key is chosen', async () => {
  await onDevice(async (device) => {
    await device.work();
    const { call, records } = await start(device);
    const { keys } = device;
    const publicKey = keys.publicKey.bind(keys);
    keys.publicKey = async (keyId) => {
      await records.change(
        id,
        (entry) =>
          entry && {
            ...entry,
            chain: [],
            enrolment: { ...entry.enrolment, isDeleted: true, ownKeys: [] } as never,
          },
      );
      return publicKey(keyId);
    };
    assert.is(await failureOf(call('renew')), 'NotFound');
    assert.is(records.get(id), undefined);
  });
});

test('an order that a step submits is kept when that gives way to a call', async () => {
  await onDevice(async (device) => {
    const seen = issuing(device, async () => ({
      kind: 'pending',
      cookie: 'c1',
      retryAfterS: 3600,
    }));
    await device.work();
    device.now = new Date(device.now.getTime() + day / 2);
    const { call, enrolments, own } = await start(device);
    let called: Promise<string> | undefined;
    const issuer = device.issuer;
    device.issuer = {
      submit: (order, caller) => {
        if (called !== undefined) return issuer.submit(order, caller);
        called = failureOf(call('renew', { issuer: '', rotateKey: true }));
        return new Promise((_resolve, reject) => {
          caller.signal.addEventListener('abort', () => reject(caller.signal.reason));
          if (caller.signal.aborted) reject(caller.signal.reason);
        });
      },
    };
    assert.is(await failureOf(own('enroll')), 'Cancelled');
    assert.is(await called, 'Unavailable', 'still pending');
    const keyId = 'iotedge/certificate/x';
    assert.equal(seen, [
      { keyId, cookie: undefined },
      { keyId, cookie: 'c1' },
    ]);
    await enrolments.operations.stop();
  });
});

test('an order is submitted at once after a reload during which it fails', async () => {
  await onDevice(async (device) => {
    await refused(device);
    const { enrolments, own, records } = await start(device);
    let reloaded: Promise<void> | undefined;
    let isReloaded = false;
    const change = records.change.bind(records);
    records.change = (...one) => {
      const changed = change(...one);
      if (!isReloaded) {
        isReloaded = true;
        reloaded = enrolments.hasten();
      }
      return changed;
    };
    const seen = issuing(device, async (orders) => {
      if (orders === 1) throw away;
      return undefined;
    });
    await failureOf(own('enroll'));
    await reloaded;
    if (seen.length === 1) await own('enroll');
    assert.is(seen.length, 2);
    assert.is(records.get(id)?.chain.length, 1);
  });
});

test('an order that a step has begun is for the call that joins it', async () => {
  await onDevice(async (device) => {
    await device.work();
    device.now = new Date(device.now.getTime() + 26 * day);
    device.issuer = { submit: () => Promise.reject(away) };
    await device.work();
    const { executor, records } = await start(device);
    const isRequested = () => records.get(id)?.enrolment?.order?.isRequested;
    assert.is(isRequested(), false);
    await executor.order(id, () => ({ rule: device.rule(), isNewKey: undefined }), via);
    assert.is(isRequested(), true);
  });
});

test('an order with the same key does not do for a call that wants a new one', async () => {
  await onDevice(async (device) => {
    device.rule = () => ({ ...orderRuleFor(config, id), keyPolicy: 'reuse' });
    await device.work();
    const { executor, records } = await start(device);
    const keyOf = async (isNewKey: boolean | undefined) => {
      await executor.order(id, () => ({ rule: device.rule(), isNewKey }), via);
      return records.get(id)?.enrolment?.order?.keyId;
    };
    const [first, second] = ['iotedge/certificate/x', 'iotedge/certificate/x@2'];
    assert.equal([await keyOf(undefined), await keyOf(false)], [first, first]);
    assert.equal(
      [await keyOf(true), await keyOf(true), await keyOf(undefined)],
      [second, second, second],
    );
    assert.is(await keyOf(false), first);
  });
});

test.run();
