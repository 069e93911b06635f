/**
 * An upgrade that ends anywhere. Some of its moments are tried: four of the renames of dpkg, and the last call of each
 * program that the scripts run; with IOTEDGE_TEST_SOAK each of both.
 */
import * as assert from 'uvu/assert';
import { Chroot } from '../../support/packages/chroot.ts';
import { versionsSuite } from '../../support/packages/versions-suite.ts';
import { isSoak, runs } from '../../support/property.ts';

const test = versionsSuite('a power cut during an upgrade');
const { versions } = test;

const programs = ['keys', 'certificates', 'identity', 'modules'].map((name) => `iotedge-${name}`);

/** Programs that the maintainer scripts run. */
const stepNames = [
  'debconf-communicate',
  'deb-systemd-helper',
  'getent',
  'id',
  'install',
  'ln',
  'mv',
  'rm',
  'sed',
  'timeout',
];

/** Lists the steps in /steps/names, and ends everything before the one whose number is in /steps/last. */
const step = `#!/bin/sh
echo "\${0##*/}" >>/steps/names
done=0
while read -r _; do done=$((done + 1)); done </steps/names
read -r last </steps/last
if [ "$done" = "$last" ]; then
  kill -9 -1
  kill -9 $$ # which the first one leaves out
fi
exec /usr/bin/\${0##*/} "$@"
`;

const prepareSteps = `mkdir /steps && cd /steps && cat >step <<'END'
${step}END
chmod 755 step && for name in ${stepNames.join(' ')}; do ln -s step $name; done`;

/** Fails unless what the units run works. */
async function startsEverything(chroot: Chroot, where: string): Promise<void> {
  for (const program of programs) {
    const start = `/usr/lib/iotedge/bin/node /usr/lib/iotedge/bin/${program}.cjs --version`;
    const { code, output } = await chroot.run(
      `test -e /usr/lib/systemd/system/${program}.service && ${start}`,
    );
    assert.is(code, 0, `${where}: ${output}`);
  }
}

const endAll = 'kill -9 -1 2>/dev/null; true';

/** A chroot in which the previous version is installed, which `restore` brings back. */
async function withPrevious(prepare = ':'): Promise<Chroot> {
  const place = { packages: versions().directory, proc: 'with' } as const;
  const chroot = await Chroot.open('debian-13-chroot', place);
  await chroot.output(`${prepare}; dpkg -i /packages/${versions().previous}`);
  await chroot.save();
  return chroot;
}

test('at a rename of dpkg leaves programs that start, and can be repaired', async () => {
  await using chroot = await withPrevious();
  const install = (before: readonly string[] = []) =>
    chroot.run(`dpkg -i /packages/${versions().current}`, before);
  // only renames are stopped at: the compilation of the programs has many other calls
  const strace = ['strace', '-f', '--seccomp-bpf', '-qq', '-e', 'trace=rename'];

  const traced = await install(strace);
  const renames = traced.output.match(/rename\(".*iotedge.*\.dpkg-new"/g)?.length ?? 0;
  assert.ok(renames > 50, traced.output);
  const cuts = Math.min(runs(4), renames);
  for (let cut = 0; cut < cuts; cut += 1) {
    // the state of dpkg takes a few renames more
    const at = 1 + Math.floor((cut + 0.5) * ((renames + 8) / cuts));
    await chroot.restore();
    await install([...strace, '-o/dev/null', '-e', `inject=rename:signal=KILL:when=${at}`]);
    await chroot.run(endAll);
    await startsEverything(chroot, `rename ${at}`);
    const { code, output } = await install();
    assert.is(code, 0, output);
    assert.is((await chroot.run('dpkg --audit')).output, '');
  }
});

test('at a step of the scripts leaves programs that start, and can be repaired', async () => {
  await using chroot = await withPrevious(prepareSteps);
  const install = (last: number) =>
    chroot.run(
      `echo ${last} >/steps/last; PATH=/steps:$PATH dpkg -i /packages/${versions().current}`,
    );
  const whole = await install(0);
  assert.is(whole.code, 0, whole.output);
  const names = (await chroot.output('cat /steps/names')).split('\n');
  assert.ok(names.length >= 8, `${names.length} steps`);
  for (const [index, name] of names.entries()) {
    if (!isSoak && names.lastIndexOf(name) !== index) continue;
    const step = `step ${index + 1}, ${name}`;
    await chroot.restore();
    const cut = await install(index + 1);
    assert.is.not(cut.code, 0, `${step}: ${cut.output}`);
    await chroot.run(endAll);
    await startsEverything(chroot, step);
    const { code, output } = await chroot.run('dpkg --configure -a');
    assert.is(code, 0, output);
    assert.is((await chroot.run('dpkg --audit')).output, '');
  }
});

test.run();
