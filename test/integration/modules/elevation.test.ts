import {
  mkdir,
  mkdtemp,
  readFile,
  realpath,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { CallContext } from '../../../src/dbus/call.ts';
import { isServiceError } from '../../../src/errors.ts';
import { parseModuleName } from '../../../src/ids.ts';
import type { ModuleSettings } from '../../../src/modules/create-options.ts';
import { createOptionsSchema } from '../../../src/modules/create-options-schema.ts';
import { moduleHandlers, moduleResolvers } from '../../../src/modules/handlers.ts';
import { isElevated, refuseElevated } from '../../../src/modules/prepare.ts';
import { compile } from '../../../src/service/schema-validator.ts';
import { importBusybox } from '../../support/engine/images.ts';
import { PrivateEngine } from '../../support/engine/private-engine.ts';
import { TestRuntime } from '../../support/engine/test-runtime.ts';

interface Context {
  machine: PrivateEngine;
  directory: string;
  world: TestRuntime;
}

const test = suite<Context>('elevation');
const image = 'localhost/busybox:1';
const name = parseModuleName('sensor');
const wait = { wait: true };
const start = { verb: 'Start', goal: 'start', revert: true } as const;

async function codeOf(promise: Promise<unknown>): Promise<string | undefined> {
  try {
    await promise;
    return undefined;
  } catch (error) {
    return isServiceError(error) ? error.code : `not ours: ${String(error)}`;
  }
}

function settingsWith(host: string): ModuleSettings {
  const HostConfig = { Binds: [`${host}:/data`] };
  const createOptions = { Cmd: ['sleep', '1000'], StopSignal: 'SIGKILL', HostConfig };
  return { image, createOptions, auth: undefined };
}

/** What authorization was asked about becomes the whole host. */
async function swap(path: string): Promise<void> {
  await rename(path, `${path}.before`);
  await symlink('/', path);
}

async function open(context: Context): Promise<TestRuntime> {
  context.world = await TestRuntime.start({
    config: {
      moby_runtime: { uri: `unix://${context.machine.socketPath}` },
      allow_elevated: true,
      allowed_binds: [context.directory],
    },
    stateDir: join(context.directory, 'state'),
  });
  return context.world;
}

test.before(async (context) => {
  context.machine = await PrivateEngine.start();
  await importBusybox(context.machine, image);
});

test.after(async ({ machine }) => {
  await machine[Symbol.asyncDispose]();
});

test.before.each(async (context) => {
  context.directory = await realpath(await mkdtemp(join(tmpdir(), 'iotedge-elevation-')));
  await mkdir(join(context.directory, 'state'));
  await mkdir(join(context.directory, 'data'));
});

test.after.each(async ({ machine, world, directory }) => {
  await world[Symbol.asyncDispose]();
  const ids = await machine.docker('ps', '-aq');
  for (const id of ids.split('\n').filter(Boolean)) await machine.docker('rm', '-fv', id);
  await rm(directory, { recursive: true, force: true });
});

test('does not start as elevated what was authorized as harmless, after a restart neither', async (context) => {
  const host = join(context.directory, 'data');
  const world = await open(context);
  const source = { name, settings: settingsWith(host), env: {}, elevated: false };
  await world.runtime.create(source, wait);
  await swap(host);
  assert.is(await codeOf(world.runtime.change(name, start, wait)), 'AccessDenied');
  await world[Symbol.asyncDispose]();
  const next = await open(context);
  assert.is(await codeOf(next.runtime.change(name, start, wait)), 'AccessDenied');
  assert.is(await context.machine.docker('ps', '-q'), '');
});

test('starts what was authorized as elevated, after a restart too', async (context) => {
  const world = await open(context);
  const source = { name, settings: settingsWith('/etc'), env: {}, elevated: true };
  await world.runtime.create(source, wait);
  await world[Symbol.asyncDispose]();
  const next = await open(context);
  assert.is(await codeOf(next.runtime.change(name, start, wait)), undefined);
});

test('takes a record that does not say as one of a harmless module', async (context) => {
  const world = await open(context);
  const source = { name, settings: settingsWith('/etc'), env: {}, elevated: true };
  await world.runtime.create(source, wait);
  await world[Symbol.asyncDispose]();
  const file = join(context.directory, 'state/modules/sensor.json');
  const { elevated, ...rest } = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>; // of ours
  assert.is(elevated, true);
  await writeFile(file, JSON.stringify(rest));
  const next = await open(context);
  assert.is(await codeOf(next.runtime.change(name, start, wait)), 'AccessDenied');
});

test('makes what authorization was told, not what the host has become meanwhile', async (context) => {
  const { runtime } = await open(context);
  const check = compile(createOptionsSchema);
  const config = {
    connect: { management: '/run/m.sock', workload: '/run/w.sock' },
    listen: { management: '/run/m.sock', workload: '/run/w.sock' },
    network: { name: 'azure-iot-edge' },
    allowElevated: true,
    allowedBinds: [context.directory],
  };
  const rules = { config, validate: (value: unknown) => check(value).map(String) };
  const parts = {
    runtime,
    isElevated: (settings: ModuleSettings) => isElevated(rules, settings),
    refuseElevated: (source: Parameters<typeof refuseElevated>[1]) => refuseElevated(rules, source),
    elevatedCalls: new WeakSet<CallContext>(),
    systemInfo: () => Promise.reject(new Error('nobody asks')),
    objectPath: () => '/',
  };
  const host = join(context.directory, 'data');
  const config_json = JSON.stringify(settingsWith(host));
  const args = { name, type: 'docker', config_json, env: {}, options: {} };
  const call = { signal: new AbortController().signal } as CallContext; // all that is looked at
  const told = await moduleResolvers(parts).Create(args, call);
  assert.is(told.elevated, 'false');
  await swap(host);
  const making = moduleHandlers(parts).Create(args, call);
  assert.is(await codeOf(Promise.resolve(making)), 'AccessDenied');
  const next = { ...call };
  assert.is((await moduleResolvers(parts).Create(args, next)).elevated, 'true');
  assert.equal(await moduleHandlers(parts).Create(args, next), { module: '/' });
});

test.run();
