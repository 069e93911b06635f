import * as assert from 'uvu/assert';
import { Chroot, type ChrootOptions } from '../../support/packages/chroot.ts';
import { versionsSuite } from '../../support/packages/versions-suite.ts';

const test = versionsSuite('packages in a chroot');
const { versions } = test;

const caches = ['iotedge-certificates', 'iotedge-identity', 'iotedge-keys', 'iotedge-modules'];
const users = ['keys', 'certificates', 'identity', 'modules'].map((name) => `iotedge-${name}`);

/** What is ours on the disk, apart from iotedge-node. */
const ours = `find / -xdev '(' -path /packages -o -path /proc ')' -prune -o \
  -name '*iotedge*' -print | grep -v -e iotedge-node -e '^/usr/lib/iotedge$' || true`;

const linkOf = (chroot: Chroot) => chroot.output('readlink /usr/lib/iotedge/bin/node');

async function install(chroot: Chroot, ...names: readonly string[]): Promise<void> {
  await chroot.output(`cd /packages && dpkg -i ${names.join(' ')}`);
}

/** Fails unless everything is configured, works and belongs to one version. */
async function isInstalled(chroot: Chroot): Promise<void> {
  assert.is(await chroot.output('dpkg --audit'), '');
  assert.match(await chroot.output('iotedgectl --version'), /^iotedgectl \d/);
  for (const user of users)
    assert.match(await chroot.output(`getent passwd ${user}`), /:\/:\/usr\/sbin\/nologin$/);
  await chroot.output('getent group iotedge-admin docker');
  const made = await chroot.output('cd /usr/lib/iotedge/lib && ls *.cache');
  for (const name of caches) assert.match(made, `${name}.cache`);
  assert.match(
    await chroot.output('readlink /etc/systemd/system/*/iotedge-modules.service'),
    /\/lib\/systemd\/system\/iotedge-modules\.service$/,
  );
}

/** Whether the caches fit the installed programs: their maker leaves those that do. */
async function hasFittingCaches(chroot: Chroot): Promise<void> {
  const times = 'cd /usr/lib/iotedge/lib && stat -c "%n %Y %i" *.cache';
  const before = await chroot.output(times);
  await chroot.output('/usr/lib/iotedge/bin/iotedge-code-cache.cjs');
  assert.is(await chroot.output(times), before);
}

type Life = (chroot: Chroot) => Promise<void>;

function inChroot(name: string, what: string, options: Pick<ChrootOptions, 'proc'>, run: Life) {
  const title = `${name}, ${options.proc} /proc: ${what}`;
  test(title, async () => {
    const place = { ...options, packages: versions().directory };
    await using chroot = await Chroot.open(name, place);
    await run(chroot);
  });
}

const nodeOf = {
  iotedge: '/usr/lib/iotedge/node/bin/node',
  distribution: '/usr/bin/node',
};

async function upgrades(chroot: Chroot, node: string): Promise<void> {
  await isInstalled(chroot);
  assert.is(await linkOf(chroot), node);
  // what tells one device from another is made when a service starts
  const found = await chroot.output('find /var/lib/iotedge /etc/iotedge -mindepth 1');
  assert.is(found, '/var/lib/iotedge/published');
  await chroot.output('mkdir /var/lib/iotedge/keys && echo k >/var/lib/iotedge/keys/k');
  await chroot.output('echo "log_level: debug" >/etc/iotedge/keys.yaml');
  await install(chroot, versions().current);
  await isInstalled(chroot);
  await hasFittingCaches(chroot);
  assert.is(await linkOf(chroot), node);
  const old = await chroot.run('ls /usr/lib/iotedge/lib/removed-since.cjs');
  assert.is.not(old.code, 0);
}

async function isRemovedAndInstalledAgain(chroot: Chroot): Promise<void> {
  await chroot.output('dpkg -r iotedge-dbus');
  const left = (await chroot.output(ours)).split('\n');
  assert.equal(
    left.filter((path) => path.startsWith('/usr/')),
    [],
  );
  await install(chroot, versions().current);
  await isInstalled(chroot);
}

async function keepsOrRemovesState(chroot: Chroot): Promise<void> {
  assert.match(await chroot.output('debconf-show iotedge-dbus'), /remove-state: false$/);
  await chroot.output('dpkg --purge iotedge-dbus');
  assert.equal((await chroot.output(ours)).split('\n').sort(), [
    '/etc/iotedge',
    '/var/lib/iotedge',
  ]);
  assert.is(await chroot.output('cat /var/lib/iotedge/keys/k'), 'k');
  await install(chroot, versions().current);
  const answer = 'iotedge-dbus iotedge-dbus/remove-state boolean true';
  await chroot.output(`echo "${answer}" | debconf-set-selections && dpkg --purge iotedge-dbus`);
  assert.is(await chroot.output(ours), '');
  assert.is(await chroot.output('dpkg --audit'), '');
}

const life = 'installs, upgrades, removes, installs again, purges';

inChroot('debian-12-chroot', life, { proc: 'without' }, async (chroot) => {
  await install(chroot, versions().previous, versions().node);
  await upgrades(chroot, nodeOf.iotedge);
  await isRemovedAndInstalledAgain(chroot);
  await keepsOrRemovesState(chroot);
});

inChroot('debian-13-chroot', life, { proc: 'with' }, async (chroot) => {
  await install(chroot, versions().previous);
  await upgrades(chroot, nodeOf.distribution);
  await isRemovedAndInstalledAgain(chroot);
  await keepsOrRemovesState(chroot);
});

for (const name of ['debian-12', 'debian-13']) {
  // its programs are there, but nothing of it runs
  inChroot(name, 'installs and removes with systemd', { proc: 'without' }, async (chroot) => {
    await install(chroot, versions().current, versions().node);
    await isInstalled(chroot);
    await chroot.output('dpkg -r iotedge-dbus');
  });
}

inChroot(
  'debian-13-chroot',
  'uses the newer Node, and the other one when it goes',
  { proc: 'with' },
  async (chroot) => {
    await install(chroot, versions().current);
    assert.is(await linkOf(chroot), '/usr/bin/node');
    await install(chroot, versions().node);
    assert.is(await linkOf(chroot), '/usr/lib/iotedge/node/bin/node');
    await hasFittingCaches(chroot);
    await chroot.output('dpkg -r iotedge-node');
    assert.is(await linkOf(chroot), '/usr/bin/node');
    await hasFittingCaches(chroot);
  },
);

/** A program that reports a newer version than any Node has, and leaves a trace. */
const strangeNode = (path: string) => `mkdir -p "$(dirname ${path})" && cat >${path} <<'END'
#!/bin/sh
touch /strange-node-ran
echo v99.0.0
END
chmod 755 ${path}`;

const elsewhere = 'neither in /usr nor in /opt';
const strange = '/opt/strange/node';
const strangePlaces: readonly {
  readonly path: string;
  readonly prepare?: string;
  readonly link?: string;
  readonly reason: string;
}[] = [
  { path: '/home/user/node', prepare: 'chown user /home/user/node', reason: elsewhere },
  { path: '/root/node', reason: elsewhere },
  { path: strange, prepare: `chown user ${strange}`, reason: `can change ${strange}$` },
  { path: strange, prepare: `chmod 775 ${strange}`, reason: `can change ${strange}$` },
  { path: strange, prepare: 'chown user /opt/strange', reason: 'can change /opt/strange$' },
  {
    path: strange,
    prepare: `ln -s ${strange} /home/user/link`,
    link: '/home/user/link',
    reason: 'can change /home/user$',
  },
];

inChroot(
  'debian-13-chroot',
  'uses no Node that users other than root can change',
  { proc: 'with' },
  async (chroot) => {
    await install(chroot, versions().current);
    await chroot.output('useradd --create-home user && mv /usr/bin/node /usr/bin/real-node');
    for (const { path, prepare = ':', link = path, reason } of strangePlaces) {
      await chroot.output(`rm -rf /opt/strange && ${strangeNode(path)}`);
      await chroot.output(`${prepare} && ln -sfn ${link} /usr/bin/node`);
      const { code, output } = await chroot.run('/usr/lib/iotedge/bin/iotedge-setup node');
      assert.is(code, 1, output);
      assert.match(output, new RegExp(`/usr/bin/node is not used: .*${reason}`, 'm'));
      assert.match(output, /no Node 20\.19 or newer/);
    }
    await chroot.output('! ls /strange-node-ran /usr/lib/iotedge/bin/node 2>/dev/null');
    await chroot.output('ln -sfn real-node /usr/bin/node && /usr/lib/iotedge/bin/iotedge-setup');
    await isInstalled(chroot);
    assert.is(await linkOf(chroot), '/usr/bin/node');
  },
);

inChroot(
  'debian-12-chroot',
  'refuses to be configured without a Node that is new enough',
  { proc: 'with' },
  async (chroot) => {
    const { code, output } = await chroot.run(
      `cd /packages && dpkg -i --force-depends ${versions().current}`,
    );
    assert.is.not(code, 0);
    assert.match(output, /no Node 20\.19 or newer/);
    await install(chroot, versions().node);
    await chroot.output('dpkg --configure -a');
    await isInstalled(chroot);
  },
);

test.run();
