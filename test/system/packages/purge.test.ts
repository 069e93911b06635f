import * as assert from 'uvu/assert';
import { Chroot } from '../../support/packages/chroot.ts';
import { versionsSuite } from '../../support/packages/versions-suite.ts';

const test = versionsSuite('a purge that removes the state');
const { versions } = test;

const answer = 'iotedge-dbus iotedge-dbus/remove-state boolean';

/** A chroot with the package installed, and the question of its removal answered. */
async function installed(removesState: boolean): Promise<Chroot> {
  const place = { packages: versions().directory, proc: 'with' } as const;
  const chroot = await Chroot.open('debian-13-chroot', place);
  await chroot.output(`dpkg -i /packages/${versions().current}`);
  await chroot.output(`echo "${answer} ${removesState}" | debconf-set-selections`);
  return chroot;
}

const dropIn = (api: string) => `/etc/systemd/system/iotedge-modules-${api}.socket.d/listen.conf`;

/** Drop-ins of both sockets, one of which 'iotedgectl config apply' wrote. */
async function makeDropIns(chroot: Chroot): Promise<void> {
  for (const [api, header] of [
    ['workload', "# Written by 'iotedgectl config apply' from listen.workload_uri of modules.yaml"],
    ['management', '# Written by an administrator'],
  ] as const) {
    const text = `printf '%s\\n' "${header}" '[Socket]'`;
    await chroot.output(`mkdir $(dirname ${dropIn(api)}) && ${text} >${dropIn(api)}`);
  }
}

test('removes the drop-ins that were made of the configuration, and no others', async () => {
  await using chroot = await installed(true);
  await makeDropIns(chroot);
  await chroot.output('dpkg --purge iotedge-dbus');
  const left = await chroot.output('find /etc/systemd/system -path "*iotedge*" -type f');
  assert.is(left, dropIn('management'));
  await chroot.output(`! test -e $(dirname ${dropIn('workload')})`);
});

test('leaves the drop-ins beside the configuration that they were made of', async () => {
  await using chroot = await installed(false);
  await makeDropIns(chroot);
  await chroot.output('echo "log_level: debug" >/etc/iotedge/modules.yaml');
  await chroot.output('dpkg --purge iotedge-dbus');
  await chroot.output(`ls /etc/iotedge/modules.yaml ${dropIn('workload')}`);
});

test('empties what is mounted as the directory of the state', async () => {
  await using chroot = await installed(true);
  const prepare = 'mkdir /var/lib/iotedge/keys && echo k >/var/lib/iotedge/keys/k';
  await chroot.output(`mount -t tmpfs state /var/lib/iotedge && ${prepare}`);
  const output = await chroot.output('dpkg --purge iotedge-dbus');
  assert.match(output, '/var/lib/iotedge is empty and stays');
  assert.is(await chroot.output('ls -A /var/lib/iotedge'), '');
  await chroot.output('! test -e /etc/iotedge');
});

test('fails when files are left, names them, and can be repeated', async () => {
  await using chroot = await installed(true);
  const left = '/var/lib/iotedge/modules/left';
  await chroot.output('mkdir /var/lib/iotedge/modules && echo c >/etc/iotedge/keys.yaml');
  await chroot.output(`mount -t tmpfs state /var/lib/iotedge/modules && touch ${left}`);
  const { code, output } = await chroot.run('dpkg --purge iotedge-dbus');
  assert.is.not(code, 0);
  assert.match(output, left);
  await chroot.output(`test -e ${left} && ! test -e /etc/iotedge`);
  // without being asked again
  await chroot.output(`umount /var/lib/iotedge/modules && touch ${left}`);
  await chroot.output('dpkg --purge iotedge-dbus');
  await chroot.output('! test -e /var/lib/iotedge');
  assert.is(await chroot.output('dpkg --audit; debconf-show iotedge-dbus'), '');
});

/** A program in place of shred, which would fill the memory with a sparse file: it records its arguments alone. */
const recordingShred = `mkdir /record && cat >/record/shred <<'END'
#!/bin/sh
printf '%s\\n' "$@" >>/record/arguments
END
chmod 755 /record/shred`;

test('overwrites keys, and neither files of any size nor those that have another name', async () => {
  await using chroot = await installed(true);
  await chroot.output(`${recordingShred}; mkdir /var/lib/iotedge/keys; echo other >/srv/other`);
  await chroot.output('cd /var/lib/iotedge/keys && echo k >k && truncate -s 1T sparse');
  await chroot.output('ln /srv/other /var/lib/iotedge/keys/other');
  await chroot.output('PATH=/record:$PATH dpkg --purge iotedge-dbus');
  const overwritten = (await chroot.output('cat /record/arguments')).split('\n');
  assert.equal(
    overwritten.filter((word) => word.startsWith('/')),
    ['/var/lib/iotedge/keys/k'],
  );
  await chroot.output('! test -e /var/lib/iotedge');
});

test.run();
