import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isServiceError } from '../../../src/errors.ts';
import { parseModuleName } from '../../../src/ids.ts';
import { importBusybox } from '../../support/engine/images.ts';
import { PrivateEngine } from '../../support/engine/private-engine.ts';
import { TestRuntime } from '../../support/engine/test-runtime.ts';

const test = suite<{ machine: PrivateEngine; stateDir: string; world: TestRuntime }>(
  'names of modules that are made',
);
const image = 'localhost/busybox:1';

test.before(async (context) => {
  context.machine = await PrivateEngine.start();
  await importBusybox(context.machine, image);
  context.stateDir = await mkdtemp(join(tmpdir(), 'iotedge-names-'));
  context.world = await TestRuntime.start({
    config: {
      moby_runtime: { uri: `unix://${context.machine.socketPath}` },
      hostname: 'gateway.example',
    },
    stateDir: context.stateDir,
  });
});

test.after(async ({ machine, stateDir, world }) => {
  await world[Symbol.asyncDispose]();
  await machine[Symbol.asyncDispose]();
  await rm(stateDir, { recursive: true, force: true });
});

async function create({ runtime }: TestRuntime, name: string, alias = name): Promise<string> {
  const EndpointsConfig = { 'azure-iot-edge': { Aliases: [alias] } };
  const createOptions = { NetworkingConfig: { EndpointsConfig } };
  const settings = { image, createOptions, auth: undefined };
  try {
    await runtime.create({ name: parseModuleName(name), settings, env: {} }, { wait: true });
    return 'none';
  } catch (error) {
    return isServiceError(error) ? error.code : String(error);
  }
}

test('refuses a creation under a name that is taken, and leaves nothing of it', async (context) => {
  const { stateDir, world } = context;
  assert.is(await create(world, 'sensor', 'thermometer'), 'none');
  assert.is(await create(world, 'Sensor'), 'AlreadyExists');
  assert.is(await create(world, 'thermometer'), 'AlreadyExists');
  assert.is(await create(world, 'filter', 'sensor'), 'AlreadyExists');
  assert.is(await create(world, 'filter', 'edgeHub'), 'AlreadyExists');
  assert.is(await create(world, 'filter', 'gateway.example'), 'AlreadyExists');
  assert.is(await create(world, 'a'.repeat(105)), 'InvalidArgs');
  assert.equal(await readdir(join(stateDir, 'modules')), ['sensor.json']);
  assert.equal(await readdir(join(stateDir, 'mnt')), ['sensor']);
});

test('gives a name to one of two that ask for it at once', async ({ world }) => {
  const both = await Promise.all([create(world, 'one', 'shared'), create(world, 'two', 'shared')]);
  assert.equal(both, ['none', 'AlreadyExists']);
});

test.run();
