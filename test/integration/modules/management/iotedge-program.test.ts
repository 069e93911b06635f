/** What Azure's program `iotedge` asks on the management socket of the host: list, logs, restart, support-bundle. */
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { deadline, untilFound } from '../../../support/deadline.ts';
import { ModulesRig } from '../../../support/engine/modules-rig.ts';
import { IotedgeProgram, ProgramError } from '../../../support/management/iotedge-program.ts';

interface Context {
  device: ModulesRig;
  program: IotedgeProgram;
}

const test = suite<Context>('the program iotedge');
const { image } = ModulesRig;
const script =
  'echo out; echo err >&2; trap "echo stopped; exit 0" TERM; while :; do sleep 0.1; done';
const createOptions = { Cmd: ['sh', '-c', script] };

test.before(async (context) => {
  const device = await ModulesRig.start({ agent: { config: { image, createOptions } } });
  context.device = device;
  await device.agentRuns();
  const config = JSON.stringify({ image, createOptions });
  await device.invoke('CreateModule', {
    signature: 'sssa{ss}a{sv}',
    body: ['sensor', 'docker', config, {}, {}],
  });
  context.program = new IotedgeProgram(join(device.rig.stateDirectory('modules'), 'mgmt.sock'));
});

test.before.each(({ program }) => {
  program.sent.length = 0;
});

test.after(async ({ device }) => {
  await device[Symbol.asyncDispose]();
});

/** What it prints, until it ends. */
async function printed(text: AsyncIterable<string>): Promise<string> {
  let all = '';
  for await (const part of text) all += part;
  return all;
}

async function failureOf(action: Promise<unknown>): Promise<string> {
  try {
    await action;
    return 'none';
  } catch (error) {
    if (error instanceof ProgramError) return error.message;
    throw error;
  }
}

const listed = async (program: IotedgeProgram, name: string) =>
  (await program.list()).find((one) => one.name === name);

test('lists modules with their states', async ({ program }) => {
  const agent = await listed(program, 'edgeAgent');
  assert.is(agent?.status, 'running');
  assert.match(agent?.description ?? '', /^Up \d+ seconds$/);
  assert.is(agent?.config, image);
  const created = { name: 'sensor', status: 'stopped', description: '', config: image };
  assert.equal(await listed(program, 'sensor'), created);
});

test('restarts a module by a stop and a start', async ({ program }) => {
  await program.restart('sensor');
  assert.match((await listed(program, 'sensor'))?.description ?? '', /^Up/);
  await program.restart('sensor');
  assert.equal(
    program.sent.filter((line) => line.startsWith('POST')).map((line) => line.split('?')[0]),
    ['stop', 'start', 'stop', 'start'].map((action) => `POST /modules/sensor/${action}`),
  );
  assert.match(await failureOf(program.restart('absent')), /^404 /);
});

test('prints logs of a time', async ({ program }) => {
  const text = await untilFound(20_000, 'the second start', async () => {
    const found = await printed(program.logs('sensor'));
    return found.split('out\n').length > 2 && found.split('err\n').length > 2 ? found : undefined;
  });
  assert.match(text, 'stopped\n');
  const last = await printed(program.logs('sensor', { tail: '1' }));
  assert.ok(['out\n', 'err\n'].includes(last), last);
  const now = Math.floor(Date.now() / 1000);
  assert.is(await printed(program.logs('sensor', { until: String(now - 86_400) })), '');
  assert.is(await printed(program.logs('sensor', { since: String(now + 3600) })), '');
  assert.match(await failureOf(printed(program.logs('absent'))), /^404 /);
});

test('follows a log until the module stops', async ({ device, program }) => {
  const log = program.logs('sensor', { follow: true, tail: '1' });
  const first: IteratorResult<string, void> = await log.next();
  assert.ok(['out\n', 'err\n'].includes(first.value ?? ''));
  const following = printed(log);
  await device.invoke('Stop', { signature: 'sa{sv}', body: ['sensor', {}] });
  assert.match(await deadline(20_000, following, 'the end of the log'), /stopped\n$/);
  assert.match((await listed(program, 'sensor'))?.description ?? '', /^Stopped \d+ seconds ago$/);
});

test('collects the logs of all modules for its own archive', async ({ program }) => {
  const logs = await program.supportBundle();
  assert.equal([...logs.keys()].toSorted(), ['edgeAgent', 'sensor']);
  assert.match(logs.get('sensor') ?? '', 'out\n');
  assert.match(program.sent[0] ?? '', /^GET \/modules\?api-version=2020-07-07$/);
});

test.run();
