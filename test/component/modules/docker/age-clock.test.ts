import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { AgeClock, currentBoot } from '../../../../src/modules/docker/images/age-clock.ts';
import { type LogLine, recordingLog } from '../../../support/log.ts';

interface Context {
  path: string;
  directory: string;
  now: Date;
  /** Since the boot. */
  elapsedMs: number;
  lines: LogLine[];
}

const test = suite<Context>('the clock of ages');
const first = new Date('2026-01-01T00:00:00Z');
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const yearMs = 365 * dayMs;
const after = (ms: number): Date => new Date(first.getTime() + ms);

/** The clock of a service that starts now. */
function open(context: Context, bootId = 'one'): Promise<AgeClock> {
  const { path } = context;
  const boot = { id: bootId, elapsedMs: () => context.elapsedMs };
  const log = recordingLog((line) => context.lines.push(line));
  return AgeClock.open(path, { now: () => context.now, boot, log });
}

/** Boots the device, whose clock has that time then. */
function boot(context: Context, now: Date): void {
  context.elapsedMs = 5;
  context.now = now;
}

test.before.each(async (context) => {
  context.directory = await mkdtemp(join(tmpdir(), 'iotedge-ages-'));
  context.path = join(context.directory, 'image-ages.json');
  context.now = first;
  context.elapsedMs = hourMs;
  context.lines = [];
});

test.after.each(async ({ directory }) => {
  await rm(directory, { recursive: true, force: true });
});

test('begins with the clock of the device and goes on by the time since the boot', async (context) => {
  const clock = await open(context);
  assert.equal(clock.now(), first);
  for (const wall of [10 * yearMs, -56 * yearMs, 0]) {
    context.now = after(wall);
    context.elapsedMs += hourMs;
    assert.equal(clock.now(), after(context.elapsedMs - hourMs));
    await clock.save(0);
    assert.equal(clock.now(), after(context.elapsedMs - hourMs));
  }
});

test('goes on while the service does not run, whatever the clock of the device is set to', async (context) => {
  await open(context);
  context.elapsedMs += 2 * dayMs;
  context.now = after(10 * yearMs);
  assert.equal((await open(context)).now(), after(2 * dayMs));
  assert.equal(context.lines, []);
});

test('goes on by the clock of the device while that is off for a day at most', async (context) => {
  await open(context);
  boot(context, after(dayMs));
  assert.equal((await open(context, 'two')).now(), after(dayMs));
  boot(context, after(dayMs + hourMs));
  assert.equal((await open(context, 'three')).now(), after(dayMs + hourMs));
});

test('stands still while the device is off when its clock is implausible after that', async (context) => {
  await open(context);
  const wrong = [dayMs + 1, 10 * yearMs, -56 * yearMs, 0];
  for (const [index, wall] of wrong.entries()) {
    boot(context, after(wall));
    assert.equal((await open(context, String(index))).now(), first, String(wall));
  }
  assert.equal(
    context.lines.map(({ level }) => level),
    ['info', 'info', 'info', 'info'],
  );
});

test('trusts no time since the boot where the boot has no id', async (context) => {
  await open(context, '');
  context.elapsedMs += 5 * dayMs;
  assert.equal((await open(context, '')).now(), first);
  boot(context, after(hourMs));
  assert.equal((await open(context, '')).now(), after(hourMs));
});

test('is persisted when that is due', async (context) => {
  const clock = await open(context);
  const persisted = () => readFile(context.path, 'utf8');
  const before = await persisted();
  context.elapsedMs += hourMs - 1;
  await clock.save(hourMs);
  assert.is(await persisted(), before);
  context.elapsedMs += 1;
  await clock.save(hourMs);
  boot(context, after(-yearMs));
  assert.equal((await open(context, 'two')).now(), after(hourMs));
});

test('begins anew where its file is damaged, and goes on where it cannot be written', async (context) => {
  const time = '"time":"2026-01-01T00:00:00Z"';
  for (const damage of ['', '{}', '{"version":1}', `{"version":1,${time},"wallTime":5}`]) {
    await writeFile(context.path, damage);
    context.now = after(dayMs);
    assert.equal((await open(context)).now(), after(dayMs), damage);
    context.now = after(0);
    assert.equal((await open(context)).now(), after(dayMs), damage);
  }
  await rm(context.directory, { recursive: true });
  const clock = await open(context);
  context.elapsedMs += 7;
  await clock.save(0);
  assert.equal(clock.now(), after(7));
  assert.ok(context.lines.every(({ level }) => level === 'warn'));
});

test('has boots of this machine', async () => {
  const { id, elapsedMs } = await currentBoot();
  assert.match(id, /^[0-9a-f-]{36}$/);
  assert.ok(elapsedMs() > 0);
});

test.run();
