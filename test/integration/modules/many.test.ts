/** Many modules at once on a real engine, and a module whose socket has a directory in its place. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ModulesRig, type RawCall } from '../../support/engine/modules-rig.ts';
import { isSoak } from '../../support/property.ts';

const test = suite<{ device: ModulesRig }>('many modules');
/** A hub has 50 modules for a device, its agent and its hub among them; one more is created below. */
const count = isSoak ? 47 : 13;
const names = Array.from({ length: count }, (_, index) => `many${index}`);
const config = JSON.stringify({
  image: ModulesRig.image,
  createOptions: { Cmd: ['sleep', '1000'], StopSignal: 'SIGKILL' },
});

const creation = (name: string): RawCall => ({
  signature: 'sssa{ss}a{sv}',
  body: [name, 'docker', config, {}, {}],
});
const byName = (name: string): RawCall => ({ signature: 'sa{sv}', body: [name, {}] });

test.before(async (context) => {
  context.device = await ModulesRig.start({ agent: undefined });
});
test.after(async ({ device }) => {
  await device[Symbol.asyncDispose]();
});

function containerIds({ machine }: ModulesRig): Promise<readonly string[]> {
  return Promise.all(names.map((name) => machine.docker('inspect', '--format', '{{.Id}}', name)));
}

test('are created and started at once', async ({ device }) => {
  const all = (member: string, call: (name: string) => RawCall) =>
    device.errorsOf(member, names.map(call));
  const none = names.map(() => 'no failure');
  assert.equal(await all('CreateModule', creation), none);
  assert.equal(await all('Start', byName), none);
  const running = (await device.containers()).filter((text) => /^many\d+ running$/.test(text));
  assert.is(running.length, count);
});

test('are taken over at once by the next process, which touches no container', async ({
  device,
}) => {
  const before = await containerIds(device);
  await device.rig.stop('modules', 'SIGKILL');
  await device.succeed('Describe', ['a{sv}', '0']);
  await Promise.all(names.map((name) => device.untilState(name, 'running')));
  assert.equal(await containerIds(device), before);
  // Node's, about what it takes for a leak of listeners
  assert.not.match(await device.rig.log('modules'), 'MaxListeners');
});

test('are unaffected by one that is refused because its socket has a directory in its place', async ({
  device,
}) => {
  const socket = join(device.rig.stateDirectory('modules'), 'mnt', 'held', 'workload.sock');
  await mkdir(join(socket, 'kept'), { recursive: true });
  assert.is(await device.errorOf('CreateModule', creation('held')), 'Unavailable');
  assert.is((await device.module('many0'))['State'], 'running');
});

test.run();
