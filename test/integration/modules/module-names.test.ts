import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ModulesRig } from '../../support/engine/modules-rig.ts';

const test = suite<{ device: ModulesRig }>('names of created modules');
const sleeping = { image: ModulesRig.image, createOptions: { Cmd: ['sleep', '1000'] } };

function settingsWith(alias: string): string {
  const EndpointsConfig = { 'azure-iot-edge': { Aliases: [alias] } };
  return JSON.stringify({
    image: ModulesRig.image,
    createOptions: { NetworkingConfig: { EndpointsConfig } },
  });
}

function create(device: ModulesRig, name: string, alias = name): Promise<string> {
  const body = [name, 'docker', settingsWith(alias), {}, {}];
  return device.errorOf('CreateModule', { signature: 'sssa{ss}a{sv}', body });
}

test.before(async (context) => {
  const settings = { agent: { config: sleeping }, hostname: 'gateway.example' };
  context.device = await ModulesRig.start(settings);
  await context.device.agentRuns();
});

test.after(async ({ device }) => {
  await device[Symbol.asyncDispose]();
});

test('refuses a creation with a name that is taken, and leaves nothing behind', async ({
  device,
}) => {
  assert.is(await create(device, 'sensor', 'thermometer'), 'no failure');
  assert.is(await create(device, 'Sensor'), 'AlreadyExists');
  assert.is(await create(device, 'thermometer'), 'AlreadyExists');
  assert.is(await create(device, 'filter', 'sensor'), 'AlreadyExists');
  assert.is(await create(device, 'filter', 'edgeHub'), 'AlreadyExists');
  assert.is(await create(device, 'filter', 'gateway.example'), 'AlreadyExists');
  assert.is(await create(device, 'a'.repeat(105)), 'InvalidArgs');
  const state = device.rig.stateDirectory('modules');
  const records = await readdir(join(state, 'modules'));
  assert.equal(
    records.filter((file) => !/^(edgeAgent|\.reserve-)/.test(file)),
    ['sensor.json'],
  );
  assert.equal((await readdir(join(state, 'mnt'))).toSorted(), ['edgeAgent', 'sensor']);
});

test('assigns a name to one of two concurrent creations', async ({ device }) => {
  const creating = (name: string) =>
    device.call(
      'CreateModule',
      ['sssa{ss}a{sv}', name, 'docker', settingsWith('shared'), '0', '0'],
      'operator',
    );
  const both = await Promise.all([creating('one'), creating('two')]);
  const refusals = both.filter(({ code }) => code !== 0).map(({ stderr }) => stderr);
  assert.is(refusals.length, 1);
  assert.match(String(refusals[0]), 'shared');
});

test('assigns a name to one of many concurrent creations of one connection', async ({ device }) => {
  const creations = Array.from({ length: 12 }, (_, at) => {
    const body = [`together-${at}`, 'docker', settingsWith('together'), {}, {}];
    return { signature: 'sssa{ss}a{sv}', body };
  });
  const errors = await device.errorsOf('CreateModule', creations);
  assert.equal(errors.toSorted(), [...creations.slice(1).map(() => 'AlreadyExists'), 'no failure']);
});

test.run();
