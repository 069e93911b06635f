// The demonstration: takes a device from a key in a token to a running module, on this machine.
// usage: npm start [-- --once]    --once: stop after the last step
import { existsSync, statSync } from 'node:fs';

const usage = 'usage: npm start [-- --once]    --once: end after the account';
const unknown = process.argv.slice(2).filter((word) => word !== '--once');
if (unknown.length > 0) {
  const help = unknown.every((word) => word === '--help' || word === '-h');
  console[help ? 'log' : 'error'](help ? usage : `unknown: ${unknown.join(' ')}\n${usage}`);
  process.exit(help ? 0 : 2);
}
// a bare chroot may lack the kernel's file systems
for (const [place, advice] of [
  ['/proc/self/exe', 'mount -t proc proc /proc'],
  ['/dev/null', 'mount --rbind /dev, from outside of the chroot, on its /dev'],
]) {
  if (existsSync(place) && (place !== '/dev/null' || statSync(place).isCharacterDevice())) continue;
  console.error(`this needs ${place}, which is not here: ${advice}`);
  process.exit(1);
}

void import('../../src/build/steps/node-version.mjs').then(async ({ requireNode }) => {
  requireNode(); // an old Node must be able to parse this file
  if (process.getuid() !== 0) {
    // sudo resets PATH, and Node may be installed anywhere
    console.error('this needs root, to make users and namespaces: sudo env "PATH=$PATH" npm start');
    process.exit(2);
  }
  const { runMain, setUp } = await import('../../src/build/setup.mjs');
  runMain(async () => {
    console.log('1  Set-up\n');
    await setUp();
    const { demonstrate } = await import('../../dist/test/demo/demonstration.js');
    await demonstrate({ stay: !process.argv.includes('--once') });
  });
});
