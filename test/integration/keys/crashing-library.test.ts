/** A PKCS#11 library that crashes in a function: the service survives, and starts it again. */
import { suite } from 'uvu';
import {
  forEach,
  functions,
  isReported,
  matches,
  meanwhile,
  often,
  recovers,
  startMisbehaving,
} from '../../support/pkcs11/misbehaving-library.ts';

const test = suite('keys service with a library that crashes');

for (const what of ['abort', 'segfault']) {
  test(`survives a library that ends by ${what}, reports it and starts it again`, async () => {
    await forEach(functions, async (device, name) => {
      await startMisbehaving(device, name, often(name, what));
      const failure = await meanwhile(device, device.sign('first'));
      matches(failure, /^Unavailable: .*SIG(ABRT|SEGV) in C_[A-Za-z]+/, device.first.library.path);
      await isReported(device, /SIG(ABRT|SEGV)/);
      await recovers(device, await device.pid());
    });
  });
}

test.run();
