import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  busyPercent,
  ResourceReader,
  resourcesJson,
  resourcesRecord,
} from '../../../../src/modules/resources/resources.ts';

const test = suite('resources');
const disk = {
  name: '/dev/sda1',
  availableSpace: 5,
  totalSpace: 9,
  fileSystem: 'ext4',
  fileType: 'SSD',
} as const;
const stats = { name: '/a', memory_stats: { usage: 10, limit: 2 ** 70 } };
const never = new AbortController().signal;

function reader(): ResourceReader {
  return new ResourceReader({
    disks: { read: async () => [disk] },
    sampler: { read: async (names) => new Map(names.map((name) => [name, stats])) },
  });
}

test('has every member of the HTTP API', async () => {
  const json = resourcesJson(await reader().read(['a'], never)) as Record<string, unknown>; // of ours
  for (const name of ['host_uptime', 'process_uptime', 'used_ram', 'total_ram']) {
    assert.ok(Number.isSafeInteger(json[name]), name);
  }
  assert.ok(Number(json['used_ram']) < Number(json['total_ram']));
  assert.type(json['used_cpu'], 'number');
  assert.equal(json['disks'], [
    {
      name: '/dev/sda1',
      available_space: 5,
      total_space: 9,
      file_system: 'ext4',
      file_type: 'SSD',
    },
  ]);
  assert.equal(JSON.parse(String(json['docker_stats'])), [stats]);
});

test('has typed members on the bus', async () => {
  const record = resourcesRecord(await reader().read(['a'], never));
  assert.ok(record.host_uptime > 0n);
  assert.equal(record.disks, [['/dev/sda1', 5n, 9n, 'ext4', 'SSD']]);
  const most = BigInt(Number.MAX_SAFE_INTEGER);
  assert.equal(record.modules, [['a', 0, 10n, most, 0n, 0n, 0n, 0n, 0n]]);
});

test('reports a share of the processors from 0 to 100', async () => {
  const resources = reader();
  for (let count = 0; count < 3; count++) {
    const { usedCpu } = await resources.read(['a'], never);
    assert.ok(usedCpu >= 0 && usedCpu <= 100);
  }
});

test('has the share of the time in which processors were busy', () => {
  const before = { idle: 100, total: 200 };
  assert.is(busyPercent(before, { idle: 150, total: 400 }), 75);
  assert.is(busyPercent(before, before), 0);
  assert.is(busyPercent(before, { idle: 90, total: 210 }), 100, 'idle time may go back');
});

test.run();
