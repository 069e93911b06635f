import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseModuleName } from '../../../../src/ids.ts';
import {
  ModuleHistories,
  type ModuleHistory,
} from '../../../../src/modules/registry/module-histories.ts';
import { until } from '../../../support/deadline.ts';
import { silentLog } from '../../../support/log.ts';

const test = suite<{ directory: string }>('histories of modules');
const sensor = parseModuleName('sensor');
const none: ModuleHistory = { ended: undefined, restartCount: 0, restartReason: '' };
const exit = { code: 3, time: new Date('2026-01-01T00:00:00Z') };
const restarted = (restartCount: number): ModuleHistory => ({
  ended: { instance: 'c1', exit },
  restartCount,
  restartReason: 'ended with exit code 3',
});

const open = ({ directory }: { directory: string }, intervalMs?: number) =>
  ModuleHistories.open(directory, { log: silentLog, intervalMs });

const fileIn = ({ directory }: { directory: string }, name = 'sensor') =>
  join(directory, 'histories', `${name}.json`);

async function isSaved(context: { directory: string }, name: string, count = 1): Promise<boolean> {
  return (await savedCount(context, name)) === count;
}

async function savedCount(context: { directory: string }, name = 'sensor'): Promise<unknown> {
  const text = await readFile(fileIn(context, name), 'utf8').catch(() => '{}');
  const { restartCount } = JSON.parse(text) as { restartCount?: number }; // of this file
  return restartCount;
}

test.before.each(async (context) => {
  context.directory = await mkdtemp(join(tmpdir(), 'iotedge-histories-'));
});

test.after.each(async ({ directory }) => {
  await rm(directory, { recursive: true, force: true });
});

test('are persisted at once, and what follows within the interval at the end', async (context) => {
  {
    await using histories = await open(context);
    histories.note(sensor, restarted(1));
    await until(20_000, 'the first write', async () => (await savedCount(context)) === 1);
    const { ino } = await stat(fileIn(context));
    for (let count = 2; count <= 50; count++) histories.note(sensor, restarted(count));
    assert.equal(histories.get(sensor), restarted(50));
    // a write of the first would have ended before those
    for (const name of ['b', 'c', 'd'].map(parseModuleName)) {
      histories.note(name, restarted(1));
      await until(20_000, 'another write', () => isSaved(context, name));
    }
    // of a process that is killed now
    assert.equal((await open(context)).get(sensor), restarted(1));
    assert.is((await stat(fileIn(context))).ino, ino);
  }
  await using next = await open(context);
  assert.equal(next.get(sensor), restarted(50));
});

test('have the warning of a pull', async (context) => {
  const history = { ...none, pullWarning: { image: 'a:1', text: 'the registry is unreachable' } };
  {
    await using histories = await open(context);
    histories.note(sensor, history);
  }
  await using next = await open(context);
  assert.equal(next.get(sensor), history);
});

test('are persisted after the interval', async (context) => {
  await using histories = await open(context, 20);
  for (let count = 1; count <= 3; count++) histories.note(sensor, restarted(count));
  await until(20_000, 'the last write', async () => (await savedCount(context)) === 3);
});

test('are not written for modules about which nothing is known', async (context) => {
  await using histories = await open(context);
  histories.note(sensor, none);
  await histories[Symbol.asyncDispose]();
  assert.is(await savedCount(context), undefined);
});

test('end with their modules, whatever is still to be written', async (context) => {
  await using histories = await open(context, 20);
  histories.note(sensor, restarted(1));
  await setImmediate();
  histories.note(sensor, restarted(2));
  await histories.delete(sensor);
  const other = parseModuleName('other');
  for (let count = 1; count <= 3; count++) {
    histories.note(other, restarted(count));
    await until(20_000, 'another write', () => isSaved(context, other, count));
  }
  assert.equal(histories.get(sensor), none);
  await histories[Symbol.asyncDispose]();
  assert.is(await savedCount(context), undefined);
});

test('of modules that do not exist are deleted', async (context) => {
  {
    await using histories = await open(context);
    histories.note(sensor, restarted(1));
  }
  await using next = await open(context);
  await next.retain(new Set(['sensor']));
  assert.is(await savedCount(context), 1);
  await next.retain(new Set());
  assert.is(await savedCount(context), undefined);
});

test('begin anew where a record is damaged', async (context) => {
  const damages = [
    '',
    '{"version":1',
    '{"version":1,"restartCount":-1,"restartReason":""}',
    '{"version":1,"restartCount":1e300,"restartReason":""}',
    '{"version":1,"restartCount":1,"restartReason":5}',
    '{"version":1,"restartCount":1,"restartReason":"","ended":{"instance":"c","code":"x"}}',
    '{"version":1,"restartCount":1,"restartReason":"","ended":{"instance":"c","code":1,"time":"x"}}',
    '{"version":1,"restartCount":1,"restartReason":"","pullWarning":{"image":"a"}}',
  ];
  for (const damage of damages) {
    await (await open(context))[Symbol.asyncDispose]();
    await writeFile(fileIn(context), damage);
    {
      await using histories = await open(context);
      assert.equal(histories.get(sensor), none, damage);
      histories.note(sensor, restarted(1));
    }
    await using next = await open(context);
    assert.equal(next.get(sensor), restarted(1), damage);
  }
});

test.run();
