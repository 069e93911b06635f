import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { PulledImages } from '../../../../src/modules/docker/images/pulled-images.ts';
import { silentLog } from '../../../support/log.ts';

interface Context {
  directory: string;
  now: Date;
  /** Since the boot. */
  elapsedMs: number;
}

const test = suite<Context>('pulled images');
const idOf = (digit: string) => `sha256:${digit.repeat(64)}`;
const isNew = { isNew: true };

function open(context: Context, id = 'boot'): Promise<PulledImages> {
  const boot = { id, elapsedMs: () => context.elapsedMs };
  return PulledImages.open(context.directory, { boot, now: () => context.now, log: silentLog });
}

function shown(images: PulledImages): readonly string[] {
  return images.all().map((image) => {
    const seconds = images.unusedMs(image) / 1000;
    return `${image.id.slice(7, 8)} ${image.references.join()} ${seconds}`;
  });
}

test.before.each(async (context) => {
  context.directory = await mkdtemp(join(tmpdir(), 'iotedge-pulled-'));
  context.now = new Date('2026-01-01T00:00:00Z');
  context.elapsedMs = 1000;
});

test.after.each(async ({ directory }) => {
  await rm(directory, { recursive: true, force: true });
});

test('are known with their references and their last use, also after a restart', async (context) => {
  const images = await open(context);
  await images.add(idOf('a'), 'r/a:1', isNew);
  await images.add(idOf('b'), 'r/b:1', isNew);
  context.elapsedMs += 10_000;
  await images.add(idOf('a'), 'r/a:2', { isNew: false });
  await images.add(idOf('c'), 'r/c:1', { isNew: false });
  for (const known of [images, await open(context)]) {
    assert.equal(shown(known).toSorted(), ['a r/a:1,r/a:2 0', 'b r/b:1 10']);
  }
});

test('keep what was pulled a short time ago in mind', async (context) => {
  const images = await open(context);
  images.begin('r/a:1');
  context.elapsedMs += 10;
  assert.equal(images.recent(10), ['r/a:1']);
  assert.equal(images.recent(9), []);
});

test('are not old because the clock was set, to whatever time', async (context) => {
  const images = await open(context);
  await images.add(idOf('a'), 'r/a:1', isNew);
  for (const time of ['2036-01-01T00:00:00Z', '1970-01-01T00:00:00Z', '2026-01-01T00:00:00Z']) {
    context.now = new Date(time);
    context.elapsedMs += 5000;
    await images.saveClock(0);
  }
  for (const known of [images, await open(context)]) assert.equal(shown(known), ['a r/a:1 15']);
  // another boot
  context.elapsedMs = 0;
  for (const [index, time] of ['1970-01-01T00:00:00Z', '2036-01-01T00:00:00Z'].entries()) {
    context.now = new Date(time);
    assert.equal(shown(await open(context, String(index))), ['a r/a:1 15'], time);
  }
});

test('are not older than the one that was needed last when the clock of ages is lost', async (context) => {
  const images = await open(context);
  await images.add(idOf('a'), 'r/a:1', isNew);
  context.elapsedMs += 10_000;
  await images.add(idOf('b'), 'r/b:1', isNew);
  await rm(join(context.directory, 'image-ages.json'));
  context.now = new Date('2036-01-01T00:00:00Z');
  assert.equal(shown(await open(context)).toSorted(), ['a r/a:1 10', 'b r/b:1 0']);
});

test('are left out when their record is damaged, and it stays where it is', async (context) => {
  const images = await open(context);
  for (const id of ['a', 'b', 'c']) await images.add(idOf(id), `r/${id}:1`, isNew);
  const directory = join(context.directory, 'images');
  const files = (await readdir(directory)).toSorted();
  await writeFile(join(directory, files[0] ?? ''), '');
  await writeFile(join(directory, files[1] ?? ''), '{"version":1,"id":"x","references":[]}');
  assert.equal(shown(await open(context)), ['c r/c:1 0']);
  assert.equal((await readdir(directory)).toSorted(), files);
});

test('are not recorded when that fails, or when their ids are of another kind', async (context) => {
  const images = await open(context);
  await images.add('other', 'r/a:1', isNew);
  await rm(join(context.directory, 'images'), { recursive: true });
  await writeFile(join(context.directory, 'images'), '');
  await images.add(idOf('a'), 'r/a:1', isNew);
  assert.equal(shown(images), []);
});

test.run();
