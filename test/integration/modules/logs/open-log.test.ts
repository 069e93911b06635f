/** Logs that are read from sockets, by users of the machine. */
import { statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Variant } from '../../../../src/dbus/wire/variant.ts';
import { deadline, until } from '../../../support/deadline.ts';
import { ModulesRig } from '../../../support/engine/modules-rig.ts';
import type { RigUser } from '../../../support/rig/rig-users.ts';

interface Context {
  device: ModulesRig;
}

const test = suite<Context>('OpenLog');
const { image } = ModulesRig;
const follow = { follow: new Variant('b', true) };

test.before(async (context) => {
  const createOptions = { Cmd: ['sleep', '1000'], StopSignal: 'SIGKILL' };
  context.device = await ModulesRig.start({ agent: { config: { image, createOptions } } });
});

test.after(async ({ device }) => {
  await device[Symbol.asyncDispose]();
});

async function start(device: ModulesRig, name: string, script: string): Promise<void> {
  const createOptions = { Cmd: ['sh', '-c', script], StopSignal: 'SIGKILL' };
  const config = JSON.stringify({ image, createOptions, restart_policy: 'never' });
  const body = [name, 'docker', config, {}, {}];
  await device.invoke('CreateModule', { signature: 'sssa{ss}a{sv}', body });
  await device.invoke('Start', { signature: 'sa{sv}', body: [name, {}] });
}

async function open(device: ModulesRig, name: string, options: object = {}): Promise<string> {
  const [path] = await device.invoke('OpenLog', { signature: 'sa{sv}', body: [name, options] });
  return String(path);
}

/** Connects as a user; what it has received, and what it receives until the connection is closed. */
function reading(device: ModulesRig, path: string, user: RigUser = 'operator') {
  const script = `
    const socket = require('net').connect(process.argv[1]);
    socket.on('error', () => undefined).pipe(process.stdout);`;
  const reader = device.rig.spawn(`${device.rig.directory}/node`, ['-e', script, path], { user });
  const received = { text: '' };
  reader.stdout?.on('data', (chunk) => {
    received.text += String(chunk);
  });
  const ended = new Promise<string>((resolve) => {
    reader.once('close', () => resolve(received.text));
  });
  return { received, whole: () => deadline(30_000, ended, 'the end of the connection') };
}

const read = (...args: Parameters<typeof reading>): Promise<string> => reading(...args).whole();

/** A reader that has begun to receive. */
async function following(device: ModulesRig, name: string) {
  const reader = reading(device, await open(device, name, follow));
  await until(20_000, 'the first lines', () => reader.received.text.includes('more'));
  return reader;
}

test('is read by the user who asked for it, and by nobody else', async ({ device }) => {
  await start(device, 'sensor', 'echo one; echo two; exec sleep 1000');
  await until(30_000, 'both lines', async () => {
    const [log] = await device.invoke('GetLogs', { signature: 'sa{sv}', body: ['sensor', {}] });
    return String(log) === 'one\ntwo\n';
  });
  const path = await open(device, 'sensor', { tail: new Variant('i', 1) });
  assert.match(path, /^\/run\/.*\/[0-9a-f]{32}\.sock$/);
  assert.is(statSync(dirname(path)).mode & 0o777, 0o711);
  assert.is(await read(device, path, 'alice'), '');
  assert.is(await read(device, path), 'two\n');
  const stamped = await open(device, 'sensor', { timestamps: new Variant('b', true) });
  assert.match(await read(device, stamped), /^\S+Z one\n\S+Z two\n$/);
  const call = { signature: 'sa{sv}', body: ['sensor', {}] };
  assert.is(await device.errorOf('OpenLog', call, 'alice'), 'AccessDenied');
});

test('is followed until its module stops, is deleted, or the service ends', async ({ device }) => {
  const script = 'echo one; while :; do sleep 0.1; echo more; done';
  await start(device, 'chatty', script);
  const byName = { signature: 'sa{sv}', body: ['chatty', {}] };
  const ends = {
    Stop: () => device.invoke('Stop', byName),
    DeleteModule: async () => {
      return device.invoke('DeleteModule', byName);
    },
  };
  for (const [what, end] of Object.entries(ends)) {
    await device.invoke('Start', byName);
    const reader = await following(device, 'chatty');
    await end();
    assert.match(await reader.whole(), /^one\n(more\n)*(one\n(more\n)*)?$/, what);
  }
  await start(device, 'endless', script);
  const reader = await following(device, 'endless');
  await device.rig.stop('modules');
  assert.match(await reader.whole(), /^one\n(more\n)*$/);
  await device.agentRuns();
});

test('is open for 8 at a time of a user', async ({ device }) => {
  const call = { signature: 'sa{sv}', body: ['edgeAgent', follow] };
  for (let count = 8; count > 0; count--) await open(device, 'edgeAgent', follow);
  assert.is(await device.errorOf('OpenLog', call), 'LimitsExceeded');
});

test('is not read from the engine when nobody reads it', async ({ device }) => {
  await start(device, 'flood', 'while :; do echo 0123456789012345678901234567890123456789; done');
  await using bus = await device.rig.connect();
  const to = { destination: 'org.iotedge.Modules1', path: '/org/iotedge/Modules1' };
  const [path] = await bus.call({
    ...to,
    interface: 'org.iotedge.Modules1',
    member: 'OpenLog',
    signature: 'sa{sv}',
    body: ['flood', follow],
  });
  const script = 'require("net").connect(process.argv[1]).pause(); setInterval(() => {}, 1000);';
  const reader = device.rig.spawn(`${device.rig.directory}/node`, ['-e', script, String(path)]);
  const pid = await device.rig.processOf('modules');
  const readBytes = async (): Promise<number> =>
    Number(/^rchar: (\d+)/m.exec(await readFile(`/proc/${pid}/io`, 'utf8'))?.[1]);
  let before = 0;
  let quiet = 0;
  // the engine has more at any time: a reading that only pauses goes on
  await until(60_000, 'an end of reading', async () => {
    const last = before;
    before = await readBytes();
    await sleep(200);
    quiet = before - last < 200_000 ? quiet + 1 : 0;
    return quiet === 8;
  });
  reader.kill();
  await device.invoke('DeleteModule', { signature: 'sa{sv}', body: ['flood', {}] });
});

test.run();
