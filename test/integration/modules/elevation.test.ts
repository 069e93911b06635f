import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../../support/deadline.ts';
import { ModulesRig } from '../../support/engine/modules-rig.ts';
import { operatorsMayDoEverything } from '../../support/rig/rig-polkit.ts';

interface Context {
  device: ModulesRig;
  /** The parent directory of `host`. */
  allowed: string;
  /** The path that modules may mount. */
  host: string;
  settings: object;
}

const test = suite<Context>('elevation');
const sleeping = { Cmd: ['sleep', '1000'], StopSignal: 'SIGKILL' };
const agent = { config: { image: ModulesRig.image, createOptions: sleeping } };
const byName = { signature: 'sa{sv}', body: ['sensor', {}] };

function settingsWith(host: string): string {
  const createOptions = { ...sleeping, HostConfig: { Binds: [`${host}:/data`] } };
  return JSON.stringify({ image: ModulesRig.image, createOptions });
}

function create(device: ModulesRig, host: string): Promise<string> {
  const body = ['sensor', 'docker', settingsWith(host), {}, {}];
  return device.errorOf('CreateModule', { signature: 'sssa{ss}a{sv}', body });
}

/** Replaces the path that was authorized by the whole host. */
async function swap(path: string): Promise<void> {
  await rename(path, `${path}.before`);
  await symlink('/', path);
}

/** Polkit decides this action once a file exists, and records that it was consulted. */
function patientRules(directory: string): string {
  const script = `touch ${directory}/asked; until [ -e ${directory}/swapped ]; do sleep 0.05; done`;
  return `polkit.addRule(function (action, subject) {
  if (action.id === 'org.iotedge.modules1.run') polkit.spawn(['sh', '-c', '${script}']);
});
${operatorsMayDoEverything}`;
}

/** Polkit refuses every caller, and records the details that it received. */
function recordingRules(directory: string): string {
  return `polkit.addRule(function (action, subject) {
  if (action.id !== 'org.iotedge.modules1.run') return undefined;
  polkit.spawn(['sh', '-c', 'echo ' + action.lookup('elevated') + ' > ${directory}/elevated']);
  return polkit.Result.NO;
});`;
}

test.before(async (context) => {
  context.device = await ModulesRig.start({ agent });
});

test.after(async ({ device }) => {
  await device[Symbol.asyncDispose]();
});

test.before.each(async (context) => {
  const { device } = context;
  await device.rig.setRules(operatorsMayDoEverything);
  context.allowed = await mkdtemp(join(device.rig.directory, 'allowed-'));
  await chmod(context.allowed, 0o755);
  context.host = join(context.allowed, 'data');
  await mkdir(context.host);
  context.settings = { agent, allow_elevated: true, allowed_binds: [context.host] };
  await device.restart(context.settings);
  await device.agentRuns();
});

test.after.each(async ({ device, allowed }) => {
  await device.errorOf('DeleteModule', byName);
  await rm(allowed, { recursive: true });
});

test('does not start a module as elevated that was authorized as harmless, not even after a restart', async ({
  device,
  host,
  settings,
}) => {
  assert.is(await create(device, host), 'no failure');
  await swap(host);
  assert.is(await device.errorOf('Start', byName), 'AccessDenied');
  await device.restart(settings);
  assert.is(await device.errorOf('Start', byName), 'AccessDenied');
  assert.not((await device.containers()).includes('sensor running'));
});

test('starts a module that was authorized as elevated, after a restart too', async ({
  device,
  settings,
}) => {
  assert.is(await create(device, '/etc'), 'no failure');
  await device.restart(settings);
  assert.is(await device.errorOf('Start', byName), 'no failure');
  await device.untilState('sensor', 'running');
});

test('treats a record without elevation as one of a harmless module', async ({ device }) => {
  assert.is(await create(device, '/etc'), 'no failure');
  await device.rig.stop('modules');
  const file = join(device.rig.stateDirectory('modules'), 'modules/sensor.json');
  const { elevated, ...rest } = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>; // of ours
  assert.is(elevated, true);
  await writeFile(file, JSON.stringify(rest));
  assert.is(await device.errorOf('Start', byName), 'AccessDenied');
});

test('creates what was authorized, not what the host has changed to meanwhile', async ({
  device,
  host,
}) => {
  const notes = await mkdtemp(join(device.rig.directory, 'notes-'));
  await chmod(notes, 0o777);
  await device.rig.setRules(patientRules(notes));
  const args = ['sssa{ss}a{sv}', 'sensor', 'docker', settingsWith(host), '0', '0'];
  const creating = device.call('CreateModule', args, 'operator');
  await until(10_000, 'the question', () => existsSync(join(notes, 'asked')));
  await swap(host);
  await writeFile(join(notes, 'swapped'), '');
  assert.match((await creating).stderr, 'denied');
  const refusal = /call failed .* member=CreateModule .*is a symbolic link/;
  await until(10_000, 'the refusal in the journal', async () =>
    refusal.test(await device.rig.log('modules')),
  );
  assert.is(await create(device, host), 'AccessDenied');
});

test('requests the same authorization for a host path whether it exists or not', async ({
  device,
  host,
}) => {
  const notes = await mkdtemp(join(device.rig.directory, 'notes-'));
  await chmod(notes, 0o777);
  await device.rig.setRules(recordingRules(notes));
  const elevatedFor = async (path: string): Promise<string> => {
    assert.is(await create(device, path), 'AccessDenied');
    const note = await readFile(join(notes, 'elevated'), 'utf8');
    await rm(join(notes, 'elevated'));
    return note.trim();
  };
  assert.is(await elevatedFor(host), 'false');
  await rm(host, { recursive: true });
  assert.is(await elevatedFor(host), 'false');
  await symlink('/', host);
  assert.is(await elevatedFor(host), 'false');
  assert.is(await elevatedFor(`${host}/below`), 'true');
  assert.is(await elevatedFor('/etc'), 'true');
});

test.run();
