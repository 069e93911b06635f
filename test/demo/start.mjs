// The edge in a box: takes a device from a key in a token to a running module, on this machine, in front of you.
// usage: npm start [-- --once]    --once: end after the account
import { requireNode } from '../../src/build/node-version.mjs';

requireNode(); // and below only what an old Node can parse
if (process.getuid() !== 0) {
  // sudo resets PATH, and Node may come from anywhere.
  console.error('this needs root, to make users and namespaces: sudo env "PATH=$PATH" npm start');
  process.exit(2);
}

void import('../../src/build/setup.mjs').then(({ runMain, setUp }) =>
  runMain(async () => {
    console.log('1  Set-up\n');
    await setUp();
    const { demonstrate } = await import('../../dist/test/demo/demonstration.js');
    await demonstrate({ stay: !process.argv.includes('--once') });
  }),
);
