import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Disks, mountsOf } from '../../../../src/modules/resources/disks.ts';
import { deadline } from '../../../support/deadline.ts';

const test = suite('disks');

const mountinfo = [
  '22 27 0:21 / /proc rw,relatime - proc proc rw',
  '24 27 0:6 / /dev rw,relatime - devtmpfs devtmpfs rw,mode=755',
  '40 27 8:1 /var/lib/iotedge /var/lib/iotedge rw,relatime shared:1 master:2 - ext4 /dev/sda1 rw',
  '27 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,discard',
  '41 27 8:17 / /media/a\\040disk rw,relatime - vfat /dev/sdb1 rw',
  '42 27 0:50 / /mnt/nas rw,relatime - nfs4 nas:/export rw',
  '43 27 7:1 / /snap/core/1 ro,relatime - squashfs /dev/loop1 ro',
  '44 27 0:51 / /run rw - tmpfs tmpfs rw',
  '45 27 0:52 / /var/lib/docker/overlay2/a/merged rw - overlay overlay rw',
  '46 27 0:53 / /tank rw - zfs tank rw',
  'nonsense',
  '',
].join('\n');
const sizes = { bsize: 4096, blocks: 1000, bavail: 250 };

test('lists local file systems once, by their shortest mount point', () => {
  const found = mountsOf(mountinfo).map(({ point, source }) => `${source} ${point}`);
  assert.equal(found, ['/dev/sda1 /', '/dev/sdb1 /media/a disk', 'tank /tank']);
});

test('lists the root of a container', () => {
  const [root] = mountsOf('27 1 0:60 / / rw,relatime - overlay overlay rw');
  assert.is(root?.fileSystem, 'overlay');
});

test('lists no more than 64', () => {
  const many = Array.from({ length: 500 }, (_one, index) => {
    return `${index} 1 8:${index} / /mnt/${index} rw - ext4 /dev/sd${index} rw`;
  });
  assert.is(mountsOf(many.join('\n')).length, 64);
});

test('reports sizes in bytes, and whether a disk turns', async () => {
  const turns = new Map([
    ['8:1', '0'],
    ['8:17', '1'],
  ]);
  const disks = new Disks({
    mounts: async () => mountinfo,
    sizes: async () => sizes,
    rotational: async (device) => turns.get(device) ?? '',
  });
  const [first, ...others] = await disks.read();
  assert.equal(first, {
    name: '/dev/sda1',
    availableSpace: 1_024_000,
    totalSpace: 4_096_000,
    fileSystem: 'ext4',
    fileType: 'SSD',
  });
  assert.equal(
    others.map(({ fileType }) => fileType),
    ['HDD', 'Unknown(-1)'],
  );
});

test('leaves out a disk that does not respond, and asks it only once', async () => {
  let asked = 0;
  const disks = new Disks({
    mounts: async () => mountinfo,
    sizes: (point) => {
      if (point !== '/') return Promise.resolve(sizes);
      asked++;
      return new Promise(() => undefined);
    },
    rotational: async () => '',
    limitMs: 20,
  });
  for (let count = 0; count < 3; count++) {
    const found = await deadline(10_000, disks.read(), 'the disks');
    assert.equal(
      found.map(({ name }) => name),
      ['/dev/sdb1', 'tank'],
    );
  }
  assert.is(asked, 1);
});

test('finds a disk of this machine', async () => {
  const disks = await new Disks().read();
  assert.ok(disks.length > 0);
  for (const { availableSpace, totalSpace } of disks) assert.ok(availableSpace <= totalSpace);
});

test('lets no more than two disks that do not respond occupy threads', async () => {
  const line = (index: number): string =>
    `${index} 1 8:${index} / /mnt/${index} rw - ext4 /dev/sd${index} rw`;
  let asked = 0;
  const disks = new Disks({
    mounts: async () => Array.from({ length: 10 }, (_one, index) => line(index)).join('\n'),
    sizes: () => {
      asked++;
      return new Promise(() => undefined);
    },
    rotational: async () => '',
    limitMs: 5,
  });
  for (let count = 0; count < 3; count++) {
    assert.equal(await deadline(10_000, disks.read(), 'the disks'), []);
  }
  assert.is(asked, 2);
});

test.run();
