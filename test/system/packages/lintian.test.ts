/**
 * The lintian of this machine and that of Debian 13. A check of Node takes a quarter of a minute of a processor: the
 * newer one makes it in each run, that of this machine with IOTEDGE_TEST_SOAK.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runCommand } from '../../support/command.ts';
import { runnable } from '../../support/not-runnable.ts';
import { makePackages } from '../../support/packages/builders.ts';
import { Chroot } from '../../support/packages/chroot.ts';
import { isSoak } from '../../support/property.ts';

const tests = suite('lintian');
const test = runnable('booted-system', tests);

const lintian = 'lintian --allow-root --fail-on=error,warning --tag-display-limit=0';
/** These packages are only made to be checked. */
const uncompressed = ['data', 'control'].map((part) => `uses-no-compression-for-${part}-tarball`);
const command = `${lintian} --suppress-tags ${uncompressed.join(',')}`;
const accepted = { code: 0, output: '' };

let directory = '';
let packages: readonly string[] = [];
let remove = async (): Promise<void> => undefined; // where nothing can run, nothing is made
tests.before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'iotedge-lintian-'));
  remove = () => rm(directory, { recursive: true });
  packages = await makePackages(directory, ['--uncompressed']);
  assert.is(packages.length, 2);
});
tests.after(() => remove());

test('of this machine accepts the packages', async () => {
  const [program = '', ...options] = command.split(' ');
  const checked = packages.filter((path) => isSoak || basename(path).startsWith('iotedge-dbus_'));
  assert.ok(checked.length > 0);
  const { code, stdout, stderr } = await runCommand(program, [...options, ...checked], {
    timeoutMs: 120_000,
  });
  assert.equal({ code, output: `${stdout.toString()}${stderr}` }, accepted);
});

test('of Debian 13 accepts both packages', async () => {
  await using chroot = await Chroot.open('debian-13-chroot', { packages: directory, proc: 'with' });
  await chroot.output('apt-get -q update');
  await chroot.output('apt-get -q install -y --no-install-recommends lintian');
  const files = packages.map((path) => join('/packages', basename(path)));
  assert.equal(await chroot.run([command, ...files].join(' ')), accepted);
});

tests.run();
