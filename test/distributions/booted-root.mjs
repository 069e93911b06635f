// Prints the folder of the root that tests boot or install packages in, which it makes once.
// usage: node test/distributions/booted-root.mjs debian-12|debian-13|debian-12-chroot|debian-13-chroot
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { runMain } from '../../src/build/setup.mjs';
import { withLock } from '../../src/build/steps/command.mjs';
import { ensurePackages } from '../../src/build/steps/debian-packages.mjs';
import { baseRoot } from './base-root.mjs';
import { bootedSystems, chroots } from './list.mjs';

const cache = resolve(process.env.IOTEDGE_TEST_CACHE ?? '/var/cache/iotedge-test');

runMain(async () => {
  const systems = { ...bootedSystems, ...chroots };
  const system = systems[process.argv[2]];
  if (system === undefined) throw new Error(`the systems are ${Object.keys(systems).join(', ')}`);
  await ensurePackages(['debootstrap', 'debian-archive-keyring'], console.error);
  mkdirSync(cache, { recursive: true });
  const make = () => baseRoot(system, cache, console.error);
  const lock = join(cache, `${system.name}-lock`);
  console.log(join(await withLock(lock, make, console.error), 'root'));
});
