/** A PKCS#11 library that is slow or returns nonsense, in every function that a start or a signature calls. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  forEach,
  functions,
  matches,
  meanwhile,
  recovers,
  startMisbehaving,
} from '../../support/pkcs11/misbehaving-library.ts';

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

test.run();
