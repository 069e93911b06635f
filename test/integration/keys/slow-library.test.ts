/** A PKCS#11 library that is slow or returns nonsense, in every function that a start or a signature calls. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { failureOf } from '../../support/failure.ts';
import {
  forEach,
  functions,
  matches,
  meanwhile,
  recovers,
  startMisbehaving,
} from '../../support/pkcs11/misbehaving-library.ts';
import { TwoLibraries } from '../../support/pkcs11/two-libraries.ts';

const test = suite('keys service with a library that is slow');

test('serves everything else while a library needs 3 s for a function', async () => {
  await forEach(functions, async (device, name) => {
    await startMisbehaving(device, name, 'sleep 3000 times 2');
    assert.is(await meanwhile(device, device.sign('first')), 'signed');
    await recovers(device, await device.pid());
  });
});

test('returns no wrong signature when the results of a library cannot be', async () => {
  const others = ['C_GetSlotList', 'C_FindObjects', 'C_GetAttributeValue'];
  await forEach([...functions, ...others], async (device, name) => {
    await startMisbehaving(device, name, 'garbage');
    const outcome = await meanwhile(device, device.sign('first'));
    matches(outcome, /^(signed$|Unavailable: |Failed: )/);
    await recovers(device, await device.pid());
  });
});

test('returns no signature of another length', async () => {
  await using device = await TwoLibraries.start();
  await device.keys.CreateKey({ key_id: 'mac', algorithm: 'hmac-sha256', usages: ['sign'] });
  const rsa = { key_id: 'rsa', algorithms: ['rsa-2048'], usages: ['sign'] };
  await device.keys.CreateKeyPair(rsa);
  const data = Buffer.alloc(32);
  for (const what of ['length 0', 'length 5', 'length 62', 'length 1000', 'garbage']) {
    await device.first.library.misbehave('C_Sign', what);
    matches(await device.sign('first'), /^Unavailable: /);
    for (const [key_id, mechanism] of [
      ['mac', 'hmac-sha256'],
      ['rsa', 'rsa-pss-sha256'],
    ] as const) {
      const signing = device.keys.Sign({ key_id, mechanism, data });
      assert.is(await failureOf(signing), 'Unavailable', `${what} ${key_id}`);
    }
  }
  await device.first.library.behave();
  await device.signs('first');
});

test.run();
