import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { outputOf, runCommand } from '../../support/command.ts';
import { runnable } from '../../support/not-runnable.ts';
import { checkout } from '../../support/packages/builders.ts';
import { Chroot, type Ended } from '../../support/packages/chroot.ts';

const tests = suite('packages for arm64');
const test = runnable('amd64', runnable('booted-system', tests));

/** What set-up installs to build for the machine itself, and an emulator. */
const tools = 'make python3 binutils file qemu-user';
const aptSettings = 'APT::Get::Assume-Yes "true"; APT::Install-Recommends "false";';

/** The checkout is read-only: only `out` and `temporary` are written to. */
const build = (out: string, temporary: string) =>
  `mkdir -p ${temporary} && cd /sources && PATH=/usr/local/bin:$PATH TMPDIR=${temporary} \
  SOURCE_DATE_EPOCH=1790000000 node src/build/package/package.mjs --architecture arm64 \
  --uncompressed --out ${out}`;

/** npm's configuration is that of this machine, so the Node is downloaded outside. */
async function downloadNode(): Promise<void> {
  const module = join(checkout, 'src/build/package/node-package.mjs');
  const program = `await (await import(${JSON.stringify(module)})).downloadNode('arm64');`;
  const options = { timeoutMs: 300_000 };
  await outputOf(process.execPath, ['--input-type=module', '--eval', program], options);
}

let directory = '';
let chroot: Chroot;
let refused: Ended;
let packages: readonly string[] = [];
let close = async (): Promise<void> => undefined; // where nothing can run, nothing is made

tests.before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'iotedge-arm64-'));
  close = () => rm(directory, { recursive: true });
  await downloadNode();
  const places = { packages: directory, sources: checkout };
  chroot = await Chroot.open('debian-12-chroot', { ...places, proc: 'with' });
  close = async () => {
    await chroot[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  };
  await chroot.output(`echo '${aptSettings}' >/etc/apt/apt.conf.d/99test`);
  await chroot.output(`apt-get -q update && apt-get -q install ${tools}`);
  refused = await chroot.run(build('/packages', '/tmp'));
  await chroot.output(refused.output.replace(/^.*?: /, ''));
  const made = await chroot.output(build('/packages', '/tmp'));
  packages = made.split('\n').map((line) => basename(line.replace(/ \(.*$/, '')));
  await chroot.output('cd /packages && for file in *.deb; do dpkg-deb -x "$file" tree; done');
});
tests.after(() => close());

test('are not built without the cross compiler, whose installation one line names', () => {
  assert.is(refused.code, 1);
  assert.match(refused.output, /^what builds for arm64 is missing: dpkg .*:arm64$/);
});

test('are both for arm64', () => {
  assert.match(packages.join(' '), /^iotedge-dbus_\S+_arm64\.deb iotedge-node_\S+_arm64\.deb$/);
});

test('have the same bytes when they are built again, elsewhere', async () => {
  await chroot.output(`${build('/packages/again', '/var/tmp/elsewhere')} iotedge-dbus`);
  await chroot.output(`cd /packages && cmp ${packages[0]} again/${packages[0]}`);
});

test('have programs and libraries for arm64 alone, stripped', async () => {
  const types = await chroot.output('find /packages/tree -type f -exec file --brief {} +');
  const binaries = types.split('\n').filter((type) => type.includes('ELF'));
  assert.is(binaries.length, 5);
  for (const type of binaries) assert.match(type, /ARM aarch64.*, stripped$/);
  const module = '/packages/tree/usr/lib/aarch64-linux-gnu/ossl-modules/iotedge-keys.so';
  await chroot.output(`test -e ${module}`);
});

test('can be installed together on Debian 12', async () => {
  const plan = await chroot.output('apt-get -s install /packages/*.deb');
  for (const name of ['iotedge-dbus', 'iotedge-node'])
    assert.match(plan, new RegExp(`^Inst ${name}:arm64 `, 'm'));
});

test('are accepted by lintian', async () => {
  const uncompressed = ['data', 'control'].map((part) => `uses-no-compression-for-${part}-tarball`);
  const options = ['--allow-root', '--fail-on=error,warning', '--tag-display-limit=0'];
  const files = packages.map((name) => join(directory, name));
  const { code, stdout, stderr } = await runCommand(
    'lintian',
    [...options, '--suppress-tags', uncompressed.join(','), ...files],
    { timeoutMs: 120_000 },
  );
  assert.equal({ code, output: `${stdout.toString()}${stderr}` }, { code: 0, output: '' });
});

/** Runs a program of JavaScript in the packaged Node, in the directory of the addons. */
const emulate = (args: string) =>
  chroot.run(`cd /packages/tree/usr/lib/iotedge/lib && qemu-aarch64 ../node/bin/node ${args}`);

test('have a Node and addons that work on arm64', async () => {
  await chroot.output('apt-get -q install libstdc++6:arm64');
  assert.equal(await emulate('--print process.arch'), { code: 0, output: 'arm64' });
  const program = `
    const [linux, provider, pkcs11] = ['iotedge_linux', 'iotedge_keys_provider', 'pkcs11'].map(
      (name) => require(process.cwd() + '/' + name + '.node'));
    linux.trimMemory();
    provider.loadProvider();
    new pkcs11.PKCS11();
    try {
      process.dlopen({ exports: {} }, process.cwd() + '/ossl-modules/iotedge-keys.so');
    } catch (error) {
      console.log(error.message.split(':')[0]);
    }`;
  // the OpenSSL module has been loaded then, and is no addon
  const output = 'Module did not self-register';
  assert.equal(await emulate(`--eval "${program}"`), { code: 0, output });
});

test('have an iotedgectl that works on arm64', async () => {
  const { code, output } = await emulate('../bin/iotedgectl.cjs --version');
  assert.is(code, 0, output);
  assert.match(output, /^iotedgectl \d/);
});

tests.run();
