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
  /** Where that is. */
  allowed: string;
  /** What modules may mount. */
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

/** What authorization was asked about becomes the whole host. */
async function swap(path: string): Promise<void> {
  await rename(path, `${path}.before`);
  await symlink('/', path);
}

/** Polkit takes this action as decided when a file is there, and leaves word that it was asked. */
function patientRules(directory: string): string {
  const script = `touch ${directory}/asked; until [ -e ${directory}/swapped ]; do sleep 0.05; done`;
  return `polkit.addRule(function (action, subject) {
  if (action.id === 'org.iotedge.modules1.run') polkit.spawn(['sh', '-c', '${script}']);
});
${operatorsMayDoEverything}`;
}

/** Polkit refuses everybody, and leaves word of what it was told. */
function tellingRules(directory: string): string {
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

test('does not start as elevated what was authorized as harmless, after a restart neither', async ({
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

test('starts what was authorized as elevated, after a restart too', async ({
  device,
  settings,
}) => {
  assert.is(await create(device, '/etc'), 'no failure');
  await device.restart(settings);
  assert.is(await device.errorOf('Start', byName), 'no failure');
  await device.untilState('sensor', 'running');
});

test('takes a record that does not say as one of a harmless module', async ({ device }) => {
  assert.is(await create(device, '/etc'), 'no failure');
  await device.rig.stop('modules');
  const file = join(device.rig.stateDirectory('modules'), 'modules/sensor.json');
  const { elevated, ...rest } = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>; // of ours
  assert.is(elevated, true);
  await writeFile(file, JSON.stringify(rest));
  assert.is(await device.errorOf('Start', byName), 'AccessDenied');
});

test('makes what authorization was told, not what the host has become meanwhile', async ({
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

test('asks about a host path alike, whether it is there or not', async ({ device, host }) => {
  const notes = await mkdtemp(join(device.rig.directory, 'notes-'));
  await chmod(notes, 0o777);
  await device.rig.setRules(tellingRules(notes));
  const asked = async (path: string): Promise<string> => {
    assert.is(await create(device, path), 'AccessDenied');
    const note = await readFile(join(notes, 'elevated'), 'utf8');
    await rm(join(notes, 'elevated'));
    return note.trim();
  };
  assert.is(await asked(host), 'false');
  await rm(host, { recursive: true });
  assert.is(await asked(host), 'false');
  await symlink('/', host);
  assert.is(await asked(host), 'false');
  assert.is(await asked(`${host}/below`), 'true');
  assert.is(await asked('/etc'), 'true');
});

test.run();
