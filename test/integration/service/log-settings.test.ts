/** The settings of LogControl1, across restarts of a service. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { logControlInterface, logControlPath } from '../../../src/dbus/server/log-control.ts';
import { keysService } from '../../../src/interfaces/keys.ts';
import { until } from '../../support/deadline.ts';
import { Rig } from '../../support/rig/rig.ts';

const test = suite<{ rig: Rig }>('the log settings');
const to = [keysService.busName, logControlPath, logControlInterface.name];

test.before(async (context) => {
  context.rig = await Rig.start({ token: false, settings: { keys: { log_level: 'warn' } } });
});
test.after(({ rig }) => rig[Symbol.asyncDispose]());

async function set(rig: Rig, name: string, value: string): Promise<void> {
  const { code, stderr } = await rig.busctl(['set-property', ...to, name, 's', value]);
  assert.is(code, 0, stderr);
}

/** Level and target, as the current process reports them. */
async function read(rig: Rig): Promise<string> {
  const { stdout } = await rig.busctl(['get-property', ...to, 'LogLevel', 'LogTarget']);
  return stdout
    .replaceAll(/s "|"\n/g, ' ')
    .trim()
    .split(/ +/)
    .join(' ');
}

const file = (rig: Rig): string => join(rig.stateDirectory('keys'), 'log-control.json');

test('survive an idle exit', async ({ rig }) => {
  await rig.configure('keys', { log_level: 'warn', idle_exit_s: 0.3 });
  assert.is(await read(rig), 'warning console');
  await set(rig, 'LogLevel', 'debug');
  const gone = async (): Promise<boolean> => (await rig.processOf('keys')) === undefined;
  for (let exits = 0; exits < 2; exits++) {
    await until(20_000, 'the idle exit', gone);
    assert.is(await read(rig), 'debug console');
  }
});

test('survive a crash, and are reset by a regular stop', async ({ rig }) => {
  await rig.configure('keys', { log_level: 'warn', idle_exit_s: 0 });
  await rig.stop('keys');
  assert.is(await read(rig), 'warning console');
  await set(rig, 'LogLevel', 'debug');
  await until(5000, 'the file', async () => (await rig.run('test', ['-s', file(rig)])).code === 0);
  await rig.stop('keys', 'SIGKILL');
  assert.is(await read(rig), 'debug console');
  await rig.stop('keys');
  assert.is(await read(rig), 'warning console');
});

test('are stored per bus, and ignored when invalid', async ({ rig }) => {
  const ours = JSON.stringify({ version: 1, bus: 'another', level: 'debug', target: 'console' });
  for (const content of [ours, '', '{', '{"version":9}', '[]', 'null']) {
    await rig.stop('keys');
    await writeFile(file(rig), content);
    assert.is(await read(rig), 'warning console', content);
    await set(rig, 'LogLevel', 'notice');
    assert.is(await read(rig), 'notice console', content);
  }
});

test('are refused as a whole when one of them is not a level', async ({ rig }) => {
  const { code } = await rig.busctl(['set-property', ...to, 'LogLevel', 's', 'loud']);
  assert.is.not(code, 0);
  assert.is(await read(rig), 'notice console');
});

test('are replaced by the level of a reloaded configuration', async ({ rig }) => {
  await set(rig, 'LogLevel', 'debug');
  await rig.configure('keys', { log_level: 'error', idle_exit_s: 0 });
  const pid = await rig.processOf('keys');
  assert.ok(pid !== undefined);
  process.kill(pid, 'SIGHUP');
  await until(10_000, 'the reload', async () => (await read(rig)) === 'err console');
  await rig.stop('keys', 'SIGKILL');
  assert.is(await read(rig), 'err console');
});

test.run();
