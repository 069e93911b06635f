import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { LastCleanup } from '../../../../src/modules/docker/images/last-cleanup.ts';
import { silentLog } from '../../../support/log.ts';

interface Context {
  path: string;
  directory: string;
  now: Date;
}

const test = suite<Context>('the last clean-up of images');
const first = new Date('2026-01-01T00:00:00Z');
const after = (days: number): Date => new Date(first.getTime() + days * 86_400_000);

/** When it was, for a service that starts now. */
async function lastOf({ path, now }: Context): Promise<Date> {
  return (await LastCleanup.open(path, { now: () => now, log: silentLog })).at;
}

test.before.each(async (context) => {
  context.directory = await mkdtemp(join(tmpdir(), 'iotedge-cleanup-'));
  context.path = join(context.directory, 'image-cleanup.json');
  context.now = first;
});

test.after.each(async ({ directory }) => {
  await rm(directory, { recursive: true, force: true });
});

test('is that of an earlier process, or the first start', async (context) => {
  assert.equal(await lastOf(context), first);
  context.now = after(5);
  assert.equal(await lastOf(context), first);
  const last = await LastCleanup.open(context.path, { now: () => context.now, log: silentLog });
  await last.set();
  context.now = after(6);
  assert.equal([last.at, await lastOf(context)], [after(5), after(5)]);
});

test('is not in the future when the clock was set back', async (context) => {
  context.now = after(3650);
  const last = await LastCleanup.open(context.path, { now: () => context.now, log: silentLog });
  context.now = first;
  assert.equal([last.at, await lastOf(context)], [first, first]);
  context.now = after(1);
  assert.equal(last.at, first);
});

test('is now where its record is damaged', async (context) => {
  for (const damage of ['', '{}', '{"version":1,"cleanedAt":"x"}', '{"version":1,"cleanedAt":5}']) {
    await writeFile(context.path, damage);
    context.now = after(1);
    assert.equal(await lastOf(context), after(1), damage);
    context.now = after(2);
    assert.equal(await lastOf(context), after(1), damage);
  }
});

test.run();
