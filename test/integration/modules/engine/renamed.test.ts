/** Containers of modules that another process renames. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../../../support/deadline.ts';
import { ModulesRig } from '../../../support/engine/modules-rig.ts';

const test = suite<{ device: ModulesRig }>('renamed containers');
const createOptions = { Cmd: ['sleep', '1000'], StopSignal: 'SIGKILL' };
const config = { image: ModulesRig.image, createOptions };
const byName = (name: string) => ({ signature: 'sa{sv}', body: [name, {}] });

async function createModule(
  device: ModulesRig,
  name: string,
  image = config.image,
): Promise<string> {
  const body = [name, 'docker', JSON.stringify({ ...config, image }), {}, {}];
  await device.invoke('CreateModule', { signature: 'sssa{ss}a{sv}', body });
  await device.invoke('Start', byName(name));
  return device.machine.docker('inspect', '--format', '{{.Id}}', name);
}

test.before(async (context) => {
  context.device = await ModulesRig.start({});
  await context.device.succeed('Describe', ['a{sv}', '0']);
});

test.after(async ({ device }) => {
  await device[Symbol.asyncDispose]();
});

for (const [when, stopped] of [
  ['at once', false],
  ['by a runtime that was stopped then', true],
] as const) {
  test(`get their name back ${when}, without a second container`, async ({ device }) => {
    const id = await createModule(device, 'sensor');
    if (stopped) await device.rig.stop('modules');
    await device.machine.docker('rename', 'sensor', 'other');
    if (stopped) await device.succeed('Describe', ['a{sv}', '0']);
    const found = () => device.machine.docker('inspect', '--format', '{{.Name}}', id);
    await until(30_000, 'its name', async () => (await found()) === '/sensor');
    assert.equal(await device.containers(), ['sensor running']);
    assert.not.match(String((await device.untilState('sensor', 'running'))['LastError']), 'name');
    await device.invoke('DeleteModule', byName('sensor'));
    assert.equal(await device.containers(), []);
  });
}

test('are reported while another one has their name, and adopted once that is removed', async ({
  device,
}) => {
  const id = await createModule(device, 'sensor');
  await device.rig.stop('modules');
  await device.machine.docker('rename', 'sensor', 'other');
  await device.machine.docker('create', '--name', 'sensor', ModulesRig.image);
  await device.succeed('Describe', ['a{sv}', '0']);
  const reason = /container "other" is that of module "sensor"/;
  const { State } = await device.untilModule('sensor', ({ LastError }) =>
    reason.test(String(LastError)),
  );
  assert.is(State, 'unknown');
  assert.equal(await device.containers(), ['other running']);
  await device.machine.docker('rm', 'sensor');
  await device.untilState('sensor', 'running');
  assert.is(await device.machine.docker('inspect', '--format', '{{.Id}}', 'sensor'), id);
  await device.invoke('DeleteModule', byName('sensor'));
});

test('are no others of an image that was made of them', async ({ device }) => {
  const { machine } = device;
  const id = await createModule(device, 'sensor');
  await machine.docker('commit', '--pause=false', 'sensor', 'localhost/debug:1');
  await machine.docker('run', '-d', '--name', 'debug', 'localhost/debug:1');
  await machine.docker('rm', '-f', 'sensor');
  const found = () => machine.docker('ps', '-aq', '--no-trunc', '--filter', 'name=^/sensor$');
  await until(30_000, 'another container', async () => !['', id].includes(await found()));
  await device.untilState('sensor', 'running');
  assert.equal(await device.containers(), ['debug running', 'sensor running']);
  await device.invoke('DeleteModule', byName('sensor'));
  assert.equal(await device.containers(), ['debug running']);
  await machine.docker('rm', '-f', 'debug');
  // the module itself may have such an image
  const own = await createModule(device, 'sensor', 'localhost/debug:1');
  await device.rig.stop('modules');
  await machine.docker('rename', 'sensor', 'other');
  await device.succeed('Describe', ['a{sv}', '0']);
  const name = () => machine.docker('inspect', '--format', '{{.Name}}', own);
  await until(30_000, 'its name', async () => (await name()) === '/sensor');
  await device.invoke('DeleteModule', byName('sensor'));
});

test('with the name of another module are not mistaken for it', async ({ device }) => {
  const id = await createModule(device, 'sensor');
  await createModule(device, 'filter');
  await device.machine.docker('rm', '-f', 'filter');
  await device.machine.docker('rename', 'sensor', 'filter').catch(() => undefined); // it may exist again
  const running = async () =>
    (await device.containers()).join() === 'filter running,sensor running';
  await until(120_000, 'both', running);
  assert.is(await device.machine.docker('inspect', '--format', '{{.Id}}', 'sensor'), id);
  for (const name of ['sensor', 'filter']) await device.invoke('DeleteModule', byName(name));
});

test.run();
