import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type CreatedContainer,
  CreatedContainers,
} from '../../../../src/modules/docker/drift/created-containers.ts';
import { silentLog } from '../../../support/log.ts';

interface Context {
  directory: string;
  now: Date;
}

const test = suite<Context>('created containers');
const container = (id: string, limits: object = {}): CreatedContainer => ({
  id,
  traits: {
    image: 'sha256:1',
    resources: { ...limits },
    networks: { edge: { aliases: [], addresses: [] } },
  },
});

function open(context: Context): Promise<CreatedContainers> {
  return CreatedContainers.open(context.directory, { now: () => context.now, log: silentLog });
}

/** What is changed in a container, and how many seconds later it is repaired. */
async function driftOf(context: Context, created: CreatedContainers, found: CreatedContainer) {
  const drift = await created.drift('sensor', found);
  const waitMs = drift?.repairAt && drift.repairAt.getTime() - context.now.getTime();
  return drift && [drift.changed.join(), (waitMs ?? 0) / 1000];
}

test.before.each(async (context) => {
  context.directory = await mkdtemp(join(tmpdir(), 'iotedge-created-'));
  context.now = new Date('2026-01-01T00:00:00Z');
});

test.after.each(async ({ directory }) => {
  await rm(directory, { recursive: true, force: true });
});

test('are compared with what they were, also after a restart', async (context) => {
  const created = await open(context);
  await created.create('sensor', () => Promise.resolve(container('1', { Memory: 5 })));
  for (const known of [created, await open(context)]) {
    assert.is(await driftOf(context, known, container('1', { Memory: 5 })), undefined);
    assert.equal(await driftOf(context, known, container('1', { Memory: 6 })), ['Memory', 0]);
    assert.is((await driftOf(context, known, container('2', { Memory: 5 })))?.[0], 'Id');
  }
});

test('are as they are found when nothing is recorded, and compared from then on', async (context) => {
  const created = await open(context);
  assert.is(await driftOf(context, created, container('1')), undefined);
  assert.equal(await driftOf(context, await open(context), container('1', { Memory: 6 })), [
    'Memory',
    0,
  ]);
});

test('are no change of others while they are created', async (context) => {
  const created = await open(context);
  await created.create('sensor', () => Promise.resolve(container('1')));
  await created.create('sensor', async () => {
    assert.is(await driftOf(context, created, container('2')), undefined);
    return container('2');
  });
  for (const id of ['1', '2']) {
    assert.is(await driftOf(context, created, container(id)), undefined, id);
  }
});

test('are known when the service is killed while it creates another one, which is accepted', async (context) => {
  const created = await open(context);
  await created.create('sensor', () => Promise.resolve(container('old')));
  let killed: CreatedContainers | undefined;
  await created.create('sensor', async () => {
    killed = await open(context);
    return container('new');
  });
  for (const next of [killed ?? created, created]) {
    for (const id of ['new', 'old']) {
      assert.is(await driftOf(context, next, container(id)), undefined, id);
    }
    assert.is((await driftOf(context, next, container('other')))?.[0], 'Id');
  }
  assert.is((await driftOf(context, await open(context), container('other')))?.[0], 'Id');
});

test('are repaired at once, and every 30 s when they change again and again', async (context) => {
  const created = await open(context);
  await created.create('sensor', () => Promise.resolve(container('0')));
  const waits: unknown[] = [];
  for (let id = 1; id <= 23; id++) {
    const drift = await driftOf(context, created, container(String(id)));
    waits.push(drift?.[1]);
    context.now = new Date(context.now.getTime() + Number(drift?.[1]) * 1000);
    assert.equal(await driftOf(context, created, container(String(id))), ['Id', 0]);
  }
  assert.equal(waits, [...Array.from({ length: 20 }, () => 0), 30, 30, 30]);
  context.now = new Date(context.now.getTime() + 60_000);
  const again = await Promise.all(['a', 'b'].map((id) => driftOf(context, created, container(id))));
  assert.equal(again, [
    ['Id', 0],
    ['Id', 0],
  ]);
});

test('are repaired after the same pause when the clock is set back ten years, or ahead', async (context) => {
  for (const years of [-10, 10]) {
    const created = await open(context);
    await created.create('sensor', () => Promise.resolve(container('0')));
    for (let id = 1; id <= 20; id++) await driftOf(context, created, container(String(id)));
    assert.equal(await driftOf(context, created, container('21')), ['Id', 30]);
    context.now = new Date(context.now.getTime() + years * 365 * 86_400_000);
    const [, waitS] = (await driftOf(context, created, container('21'))) ?? [];
    assert.is(waitS, years < 0 ? 30 : 0);
    const next = (await driftOf(context, created, container('22')))?.[1];
    assert.ok(Number(next) <= 60, `${next} s`);
  }
});

test('leave no file behind when the last one is removed', async (context) => {
  const created = await open(context);
  for (const id of ['1', '2']) {
    await created.create('sensor', () => Promise.resolve(container(id)));
  }
  await created.remove('1');
  assert.is(await driftOf(context, created, container('2')), undefined);
  await created.remove('2');
  assert.equal(await readdir(join(context.directory, 'containers')), []);
});

test('are taken as found when their file is damaged, and work when it cannot be written', async (context) => {
  const created = await open(context);
  await created.create('sensor', () => Promise.resolve(container('1')));
  const file = join(context.directory, 'containers/sensor.json');
  assert.not.match(await readFile(file, 'utf8'), 'undefined');
  await writeFile(file, '{"version":1,"containers":[{}]}');
  const again = await open(context);
  assert.is(await driftOf(context, again, container('7')), undefined);
  await rm(join(context.directory, 'containers'), { recursive: true });
  await writeFile(join(context.directory, 'containers'), '');
  await again.create('sensor', () => Promise.resolve(container('8')));
  assert.equal(await driftOf(context, again, container('9')), ['Id', 0]);
});

test.run();
