/** The clean-up of images with a real engine and a real registry; only its clock is another. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { DockerEngine } from '../../../../src/modules/docker/engine/docker-engine.ts';
import {
  ImageCleanup,
  type ImageCleanupOptions,
} from '../../../../src/modules/docker/images/image-cleanup.ts';
import { LastCleanup } from '../../../../src/modules/docker/images/last-cleanup.ts';
import { PulledImages } from '../../../../src/modules/docker/images/pulled-images.ts';
import { soon } from '../../../support/deadline.ts';
import { importBusybox } from '../../../support/engine/images.ts';
import { PrivateEngine } from '../../../support/engine/private-engine.ts';
import { Registry } from '../../../support/engine/registry.ts';
import { silentLog } from '../../../support/log.ts';

interface Context {
  machine: PrivateEngine;
  registry: Registry;
  directory: string;
  now: Date;
  /** Since the boot. */
  elapsedMs: number;
}

const test = suite<Context>('clean-up of images');
const base = 'localhost/busybox:1';
const dayMs = 86_400_000;
const config = {
  enabled: true,
  recurrenceMs: dayMs,
  ageMs: 7 * dayMs,
  timeMin: 0,
  freePercent: 10,
};

interface Runtime {
  readonly engine: DockerEngine;
  readonly pulled: PulledImages;
  readonly last: LastCleanup;
}

/** The runtime's engine and what it pulled, as after a start. */
async function runtime(context: Context): Promise<Runtime> {
  const now = () => context.now;
  const boot = { id: 'one', elapsedMs: () => context.elapsedMs };
  const pulled = await PulledImages.open(context.directory, { boot, now, log: silentLog });
  const path = join(context.directory, 'image-cleanup.json');
  const last = await LastCleanup.open(path, { now, log: silentLog });
  return { pulled, last, engine: new DockerEngine(context.machine.socketPath, { pulled }) };
}

function cleanupOf(
  context: Context,
  { engine, last, pulled }: Runtime,
  options: Partial<ImageCleanupOptions>,
): ImageCleanup {
  return new ImageCleanup({
    images: engine.images,
    pulled,
    last,
    config: () => config,
    wanted: () => [],
    freePercent: () => Promise.resolve(50),
    now: () => context.now,
    log: silentLog,
    ...options,
  });
}

function pass(context: Context, ms: number): void {
  context.now = new Date(context.now.getTime() + ms);
  context.elapsedMs += ms;
}

/** Lets days pass and cleans up once. */
async function clean(
  context: Context,
  parts: Runtime,
  options: Partial<ImageCleanupOptions> & { readonly days: number },
): Promise<void> {
  const cleanup = cleanupOf(context, parts, options);
  pass(context, options.days * dayMs);
  await cleanup.tick(soon());
}

/** A new image at the registry, which the engine does not have; returns its reference. */
async function published({ machine, registry }: Context, name: string): Promise<string> {
  const reference = `${registry.address}/${name}:1`;
  const container = await machine.docker('create', base);
  await machine.docker('commit', '--change', `LABEL mark=${name}`, container, `made:${name}`);
  await machine.docker('rm', container);
  await registry.push(`made:${name}`, reference);
  await machine.docker('rmi', `made:${name}`, reference);
  return reference;
}

/** The names of the images of the registry that the engine has. */
async function present({ machine, registry }: Context): Promise<string> {
  const listed = await machine.docker('images', '-a', '--format', '{{.Repository}}:{{.Tag}}');
  const names = listed.split('\n').filter((name) => name.startsWith(registry.address));
  return names
    .map((name) => name.slice(registry.address.length + 1, -2))
    .toSorted()
    .join(' ');
}

test.before(async (context) => {
  context.machine = await PrivateEngine.start();
  context.registry = await Registry.start(context.machine, 5004);
  await importBusybox(context.machine, base);
});

test.before.each(async (context) => {
  context.directory = await mkdtemp(join(tmpdir(), 'iotedge-images-'));
  context.now = new Date('2026-06-01T12:00:00Z');
  context.elapsedMs = 0;
});

test.after.each(async (context) => {
  const { directory, machine, registry } = context;
  await rm(directory, { recursive: true, force: true });
  await machine.docker('container', 'prune', '-f');
  const names = (await present(context)).split(' ').filter(Boolean);
  const references = names.map((name) => `${registry.address}/${name}:1`);
  if (references.length > 0) await machine.docker('rmi', ...references);
});

test.after(async ({ machine, registry }) => {
  await registry?.[Symbol.asyncDispose]();
  await machine?.[Symbol.asyncDispose]();
});

test('removes what this runtime pulled and nothing needs, after its time, and nothing else', async (context) => {
  const { machine } = context;
  const before = await runtime(context);
  const references = new Map<string, string>();
  for (const name of ['old', 'used', 'wanted', 'named']) {
    references.set(name, await published(context, name));
    await before.engine.pull(references.get(name) ?? '', {}, soon());
  }
  const foreign = await published(context, 'foreign');
  await machine.docker('pull', '--quiet', foreign);
  await before.engine.pull(foreign, {}, soon());
  await machine.docker('create', '--name', 'of-another', references.get('used') ?? '');
  await machine.docker('tag', references.get('named') ?? '', 'mine:1');
  // as after a restart
  const after = await runtime(context);
  const wanted = () => [{ image: references.get('wanted') ?? '' }];
  await clean(context, after, { days: 6, wanted });
  assert.is(await present(context), 'foreign named old used wanted');
  await clean(context, after, { days: 2, wanted });
  assert.is(await present(context), 'foreign named used wanted');
  assert.match(await machine.docker('images', '--format', '{{.Repository}}'), 'mine');
  // it was needed until now
  await machine.docker('rm', 'of-another');
  await clean(context, after, { days: 2, wanted });
  assert.is(await present(context), 'foreign named used wanted');
  const { image } = wanted()[0] ?? { image: '' };
  const atParent = () => [{ image: image.replace(/^[^:]+/, '$$upstream') }];
  await clean(context, after, { days: 8, wanted: atParent });
  assert.is(await present(context), 'foreign named wanted');
  await machine.docker('rmi', 'mine:1');
  await clean(context, after, { days: 8, wanted: () => undefined });
  assert.is(await present(context), 'foreign named wanted');
  await clean(context, after, { days: 1 });
  assert.is(await present(context), 'foreign');
});

test('removes what was not needed for longest when space is short, until it is not', async (context) => {
  const { engine, last, pulled } = await runtime(context);
  for (const name of ['one', 'two', 'three', 'new']) {
    await engine.pull(await published(context, name), {}, soon());
    pass(context, 1_800_000);
  }
  let free = 8;
  const freePercent = () => Promise.resolve(free++);
  await clean(context, { engine, last, pulled }, { days: 0, freePercent });
  // 8 at the first look, 9 before the first removal, 10 before the second
  assert.is(await present(context), 'new three two');
  free = 0;
  await clean(context, { engine, last, pulled }, { days: 0, freePercent });
  assert.is(await present(context), 'new three');
  // a clean-up is due, but no image has become old
  for (const time of ['2036-06-01T12:00:00Z', '1970-01-01T00:00:00Z', '2026-06-03T12:00:00Z']) {
    context.now = new Date(time);
    await clean(context, { engine, last, pulled }, { days: 0 });
    assert.is(await present(context), 'new three', time);
  }
});

test('removes what was not needed for an hour for pulls that met a full disk, once a minute', async (context) => {
  const parts = await runtime(context);
  const pull = async (name: string) =>
    parts.engine.pull(await published(context, name), {}, soon());
  const hourMs = 3_600_001;
  for (const name of ['one', 'two']) await pull(name);
  pass(context, hourMs);
  await pull('three');
  let monotonicMs = 1_000_000;
  const clock = { monotonicMs: () => monotonicMs };
  const never = { ...config, freePercent: 0 };
  for (const off of [never, { ...config, enabled: false }]) {
    const cleanup = cleanupOf(context, parts, { ...clock, config: () => off });
    assert.is((await cleanup.makeRoom(0, soon())).kind, 'none');
  }
  assert.is(await present(context), 'one three two');
  await using cleanup = cleanupOf(context, parts, clock);
  // both began before images were removed
  const together = [1, 2].map((since) => cleanup.makeRoom(since, soon()));
  for (const { kind } of await Promise.all(together)) assert.is(kind, 'removed');
  assert.is(await present(context), 'three');
  pass(context, hourMs);
  monotonicMs += 59_000;
  assert.is((await cleanup.makeRoom(monotonicMs, soon())).kind, 'none');
  assert.is(await present(context), 'three');
  monotonicMs += 1_000;
  assert.is((await cleanup.makeRoom(monotonicMs, soon())).kind, 'removed');
  assert.is(await present(context), '');
  monotonicMs += 60_000;
  assert.is((await cleanup.makeRoom(monotonicMs, soon())).kind, 'none');
});

test.run();
