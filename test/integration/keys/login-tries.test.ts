/** The PIN of a token whose library crashes, hangs or is slow while it logs in: the try may have been counted. */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { deadline, until } from '../../support/deadline.ts';
import { TwoLibraries } from '../../support/pkcs11/two-libraries.ts';

const test = suite('login of a library that crashes');
const mostTries = 2;

/** The tries since a count. */
const triesOf = async ({ first }: TwoLibraries, before: number): Promise<number> =>
  (await first.library.calls('C_Login')) - before;

function recordsOf(device: TwoLibraries): string {
  return join(device.rig.stateDirectory('keys'), 'refused-pins');
}

/** Waits until the PIN is tried no more. */
function untilRefused(device: TwoLibraries, timeoutMs = 20_000): Promise<void> {
  return until(timeoutMs, 'the PIN to be tried no more', async () =>
    (await device.sign('first')).includes('may have refused the PIN'),
  );
}

for (const what of ['abort', 'segfault']) {
  test(`tries a PIN at most twice when the library ends by ${what}, over activations`, async () => {
    await using device = await TwoLibraries.start();
    const before = await device.first.library.calls('C_Login');
    await device.first.library.misbehave('C_Login', what);
    for (const signal of ['SIGKILL', 'SIGTERM', 'SIGTERM'] as const) {
      const endAt = performance.now() + 3_000;
      while (performance.now() < endAt) {
        assert.match(await device.sign('first'), /^Unavailable: /);
        await sleep(100);
      }
      assert.is(await device.sign('second'), 'signed');
      await device.rig.stop('keys', signal);
    }
    assert.is(await triesOf(device, before), mostTries);
    await device.first.library.behave();
    assert.match(
      await device.sign('first'),
      /^Unavailable: .*may have refused the PIN: a login that was cut off/,
    );
    assert.match(await device.sign('first'), recordsOf(device));
    assert.is(await triesOf(device, before), mostTries);
    const records = await readdir(recordsOf(device));
    assert.ok(records.length > 0);
    for (const name of records) await rm(join(recordsOf(device), name));
    await device.signs('first');
    assert.equal(await readdir(recordsOf(device)), []);
  });
}

test('tries another PIN that is configured after one that crashed the library', async () => {
  await using device = await TwoLibraries.start();
  await device.configure('wrong-pin');
  const before = await device.first.library.calls('C_Login');
  await device.first.library.misbehave('C_Login', `abort times ${mostTries}`);
  await untilRefused(device);
  assert.is(await triesOf(device, before), mostTries);
  await device.rig.stop('keys');
  await device.configure('1234');
  await device.signs('first');
});

test('tries a PIN at most twice when the library hangs, and delays no other login', async () => {
  await using device = await TwoLibraries.start();
  const before = await device.first.library.calls('C_Login');
  await device.first.library.misbehave('C_Login', 'hang');
  await device.keys.GetRandom({ count: 8 });
  assert.is(await deadline(1_000, device.sign('second'), 'the other token'), 'signed');
  await untilRefused(device, 60_000);
  assert.is(await triesOf(device, before), mostTries);
  await device.first.library.behave();
  await sleep(2_000);
  assert.match(await device.sign('first'), /^Unavailable: .*may have refused the PIN/);
  assert.is(await triesOf(device, before), mostTries);
});

test('waits for a login when the service stops, which then costs no try of the PIN', async () => {
  await using device = await TwoLibraries.start();
  const { library } = device.first;
  const before = await library.calls('C_Login');
  await library.misbehave('C_Login', 'sleep 2500');
  await device.keys.GetRandom({ count: 8 });
  assert.is(await triesOf(device, before), 1);
  assert.is(await library.returned('C_Login'), before, 'the service stops during the login');
  await device.rig.stop('keys');
  assert.is(await library.returned('C_Login'), before + 1);
  assert.equal(await readdir(recordsOf(device)), []);
  await library.misbehave('C_Login', 'abort');
  await untilRefused(device);
  assert.is(await triesOf(device, before), 1 + mostTries);
});

test.run();
