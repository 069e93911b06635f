import * as assert from 'uvu/assert';
import { Chroot } from '../../support/packages/chroot.ts';
import { versionsSuite } from '../../support/packages/versions-suite.ts';
import { runs } from '../../support/property.ts';

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

/** Counts the steps in /steps/done, and ends everything at the one that /steps/last names. */
const step = `#!/bin/sh
read -r done </steps/done
done=$((done + 1))
echo "$done" >/steps/done
read -r last </steps/last
[ "$done" != "$last" ] || kill -9 -1
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

test('at a rename of dpkg leaves programs that start, and can be repaired', async () => {
  const place = { packages: versions().directory, proc: 'with' } as const;
  await using chroot = await Chroot.open('debian-13-chroot', place);
  const install = (name: string, before: readonly string[] = []) =>
    chroot.run(`dpkg -i /packages/${name}`, before);
  const strace = ['strace', '-f', '-qq', '-e', 'trace=rename'];

  assert.is((await install(versions().previous)).code, 0);
  const traced = await install(versions().current, strace);
  const renames = traced.output.match(/rename\(".*iotedge.*\.dpkg-new"/g)?.length ?? 0;
  assert.ok(renames > 50, traced.output);
  const cuts = Math.min(runs(4), renames);
  for (let cut = 0; cut < cuts; cut += 1) {
    // the state of dpkg takes a few renames more
    const at = 1 + Math.floor((cut + 0.5) * ((renames + 8) / cuts));
    assert.is((await install(versions().previous)).code, 0);
    await install(versions().current, [
      ...strace,
      '-o/dev/null',
      '-e',
      `inject=rename:signal=KILL:when=${at}`,
    ]);
    await chroot.run(endAll);
    await startsEverything(chroot, `rename ${at}`);
    const { code, output } = await install(versions().current);
    assert.is(code, 0, output);
    assert.is((await chroot.run('dpkg --audit')).output, '');
  }
});

test('at a step of the scripts leaves programs that start, and can be repaired', async () => {
  const place = { packages: versions().directory, proc: 'with' } as const;
  await using chroot = await Chroot.open('debian-13-chroot', place);
  await chroot.output(prepareSteps);
  const install = (name: string, last: number) =>
    chroot.run(
      `echo 0 >/steps/done; echo ${last} >/steps/last; PATH=/steps:$PATH dpkg -i /packages/${name}`,
    );
  assert.is((await install(versions().previous, 0)).code, 0);
  const whole = await install(versions().current, 0);
  assert.is(whole.code, 0, whole.output);
  const steps = Number(await chroot.output('cat /steps/done'));
  assert.ok(steps >= 8, `${steps} steps`);
  for (let last = 1; last <= steps; last += 1) {
    assert.is((await install(versions().previous, 0)).code, 0);
    const cut = await install(versions().current, last);
    assert.is.not(cut.code, 0, `step ${last}: ${cut.output}`);
    await chroot.run(endAll);
    await startsEverything(chroot, `step ${last}`);
    const { code, output } = await chroot.run('dpkg --configure -a');
    assert.is(code, 0, output);
    assert.is((await chroot.run('dpkg --audit')).output, '');
  }
});

test.run();
