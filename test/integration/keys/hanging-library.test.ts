/**
 * A PKCS#11 library that hangs in a function: the service stops, or ends the library after 20 s and starts it again
 * without a restart of its own.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  forEach,
  functions,
  isReported,
  matches,
  meanwhile,
  often,
  othersAreServed,
  recovers,
  startMisbehaving,
} from '../../support/pkcs11/misbehaving-library.ts';

const test = suite('keys service with a library that hangs');
/** How long a stop may take. */
const stopMs = 6_000;
/** A login under way is waited for, since a try of the PIN may be lost otherwise. */
const idleStopMs = 4_500;

test('stops within 6 s while a library hangs, and answers the call', async () => {
  await forEach(functions, async (device, name) => {
    await startMisbehaving(device, name, often(name, 'hang'));
    const signing = device.sign('first');
    await othersAreServed(device);
    await sleep(1_000);
    await othersAreServed(device);
    const startedAt = performance.now();
    await device.rig.stop('keys');
    const tookMs = performance.now() - startedAt;
    assert.ok(tookMs < stopMs, `the stop took ${tookMs} ms`);
    const failure = await signing;
    matches(failure, /^Unavailable: /, device.first.library.path);
  });
});

test('stops at once while a library hangs and nobody waits for it', async () => {
  await forEach(functions, async (device, name) => {
    await startMisbehaving(device, name, often(name, 'hang'));
    const startedAt = performance.now();
    await device.rig.stop('keys');
    const tookMs = performance.now() - startedAt;
    assert.ok(tookMs < idleStopMs, `the stop took ${tookMs} ms`);
  });
});

test('ends a library that hangs, reports it and starts it again', async () => {
  await forEach(functions, async (device, name) => {
    await startMisbehaving(device, name, often(name, 'hang'));
    const failure = await meanwhile(device, device.sign('first'));
    matches(
      failure,
      /^Unavailable: .*(hangs in C_[A-Za-z]+: |C_[A-Za-z]+ has not returned for 20 s)/,
      device.first.library.path,
    );
    await isReported(device, /hangs|has not returned/);
    await recovers(device, await device.pid());
  });
});

test.run();
