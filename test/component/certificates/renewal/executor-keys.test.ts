/** The keys that orders are made with when their issuer has wishes. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Issuer } from '../../../../src/certificates/issuers/issuer.ts';
import { SelfSignedIssuer } from '../../../../src/certificates/issuers/self-signed.ts';
import { orderRuleFor } from '../../../../src/certificates/renewal/order-rule.ts';
import { ServiceError } from '../../../../src/errors.ts';
import { type KeyAlgorithm, keyAlgorithmOf, publicKeyOf } from '../../../../src/x509/algorithm.ts';
import { config, day, id, onDevice } from './device.ts';

const test = suite('keys of enrolments');

/** An issuer that wants a key of P-384, and those that may replace the key of each order. */
function wantsP384(issuer = new SelfSignedIssuer()) {
  const alternatives: (readonly KeyAlgorithm[])[] = [];
  const submit: Issuer['submit'] = (order) => {
    alternatives.push(order.key.alternatives ?? []);
    const key = keyAlgorithmOf(publicKeyOf(order.key.spki));
    if (key === 'ec-p384' || alternatives.at(-1)?.includes('ec-p384') !== true)
      return issuer.submit(order);
    return Promise.resolve({ kind: 'rekey', reason: 'of P-384', algorithms: ['ec-p384'] });
  };
  return { issuer: { submit }, alternatives };
}

test('makes the key that the issuer wants and the rule allows, and deletes the other one', async () => {
  await onDevice(async (device) => {
    const allowed = ['ec-p256', 'ec-p384'] as const;
    device.rule = () => ({ ...orderRuleFor(config, id), keyAlgorithms: allowed });
    const { issuer, alternatives } = wantsP384();
    device.issuer = issuer;
    await device.work();
    const { certificate } = await device.current();
    assert.is(keyAlgorithmOf(publicKeyOf(certificate.spki)), 'ec-p384');
    assert.equal([...device.keys.ids.keys()], ['iotedge/certificate/x@2']);
    assert.equal(device.keys.wanted, [allowed, ['ec-p384', 'ec-p256']]);
    assert.equal(alternatives, [allowed, []], 'once for each order');
  });
});

test('asks for no key that the rule excludes, and replaces none that is reused', async () => {
  await onDevice(async (device) => {
    const rule = orderRuleFor(config, id);
    device.rule = () => ({ ...rule, keyAlgorithms: ['ec-p256'], keyPolicy: 'reuse' });
    const { issuer, alternatives } = wantsP384();
    device.issuer = issuer;
    await device.work();
    const { entry } = await device.current();
    device.rule = () => ({ ...rule, keyPolicy: 'reuse' });
    device.now = new Date(device.now.getTime() + 26 * day);
    await device.work();
    assert.equal(alternatives, [['ec-p256'], []]);
    assert.is((await device.current()).entry.keyId, entry.keyId);
  });
});

test('makes a key as the issuer wants it in place of one that was lost', async () => {
  await onDevice(async (device) => {
    const { issuer, alternatives } = wantsP384();
    device.issuer = {
      submit: async (order, on) => {
        const answer = await issuer.submit(order, on);
        if (answer.kind === 'rekey') return answer;
        throw new ServiceError('Unavailable', 'away');
      },
    };
    await device.work();
    await device.keys.deleteKey('iotedge/certificate/x@2');
    device.issuer = issuer;
    for (let hour = 0; hour < 4; hour++) {
      device.now = new Date(device.now.getTime() + day / 24);
      await device.work();
    }
    const { certificate } = await device.current();
    assert.is(keyAlgorithmOf(publicKeyOf(certificate.spki)), 'ec-p384');
    assert.equal(device.keys.wanted.at(-1), ['ec-p384', 'ec-p256', 'rsa-2048']);
    assert.is(alternatives.filter((one) => one.length > 0).length, 1);
  });
});

test('makes one key, as an issuer wants it that is asked before', async () => {
  await onDevice(async (device) => {
    const { issuer, alternatives } = wantsP384();
    const asked: (readonly KeyAlgorithm[])[] = [];
    let isAway = true;
    device.issuer = {
      ...issuer,
      prepare: async (_order, allowed) => {
        asked.push(allowed);
        if (isAway) throw new ServiceError('Unavailable', 'away');
        return { kind: 'prepared', algorithms: ['ec-p384'] };
      },
    };
    await device.work();
    assert.equal([device.failures.length, device.keys.wanted], [1, []], 'no key before');
    isAway = false;
    device.now = new Date(device.now.getTime() + day / 24);
    await device.work();
    const { certificate, entry } = await device.current();
    assert.is(keyAlgorithmOf(publicKeyOf(certificate.spki)), 'ec-p384');
    assert.is(entry.keyId, 'iotedge/certificate/x');
    assert.equal(device.keys.wanted, [['ec-p384', 'ec-p256', 'rsa-2048']]);
    assert.equal([asked.length, alternatives.length], [2, 1]);
  });
});

test('makes no other key where a token lacks what the issuer wants, and asks for none of one kind', async () => {
  await onDevice(async (device) => {
    const { issuer, alternatives } = wantsP384();
    let count = 0;
    device.issuer = {
      ...issuer,
      prepare: async () => {
        count++;
        return { kind: 'prepared', algorithms: ['ec-p384'] };
      },
    };
    const createPair = device.keys.createPair.bind(device.keys);
    device.keys.createPair = (keyId) => createPair(keyId, ['ec-p256']);
    await device.work();
    assert.equal([count, alternatives, device.keys.wanted.length], [1, [[]], 1]);
    device.rule = () => ({ ...orderRuleFor(config, id), keyAlgorithms: ['ec-p256'] });
    device.now = new Date(device.now.getTime() + 26 * day);
    await device.work();
    assert.equal([count, alternatives.length], [1, 2]);
  });
});

test('does what an issuer says that refuses before there is a key', async () => {
  await onDevice(async (device) => {
    device.issuer = {
      ...wantsP384().issuer,
      prepare: async () => ({
        kind: 'rejected',
        reason: 'no',
        isFinal: true,
        retryAfterS: undefined,
      }),
    };
    await device.work();
    assert.match(device.failures[0]?.reason ?? '', 'the issuer refuses the certificate "x": no');
    assert.equal([device.failures[0]?.nextAttempt, device.keys.wanted], [0, []]);
  });
});

test.run();
