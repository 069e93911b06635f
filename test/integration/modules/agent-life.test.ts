/** The agent, which the runtime creates and keeps running without a request. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../../support/deadline.ts';
import { ModulesRig } from '../../support/engine/modules-rig.ts';

type Module = Readonly<Record<string, unknown>>;

const test = suite<{ device: ModulesRig }>('the life of the agent');
const byName = { signature: 'sa{sv}', body: ['edgeAgent', {}] };

/** Settings with an agent that runs a shell script. */
function agent(script: string) {
  const createOptions = { Cmd: ['sh', '-c', script], StopSignal: 'SIGKILL' };
  return { agent: { config: { image: ModulesRig.image, createOptions } } };
}

function seconds(from: unknown, to: unknown): number {
  return (Number(to) - Number(from)) / 1e6;
}

/** How often the agent was restarted, as the service has saved it. */
async function savedRestarts({ rig }: ModulesRig): Promise<number> {
  const path = join(rig.stateDirectory('modules'), 'histories/edgeAgent.json');
  const { restartCount } = JSON.parse(await readFile(path, 'utf8')) as { restartCount: number }; // of this file
  return restartCount;
}

function containerId({ machine }: ModulesRig): Promise<string> {
  return machine.docker('inspect', '--format', '{{.Id}}', 'edgeAgent');
}

test.before(async (context) => {
  context.device = await ModulesRig.start(agent('sleep 1000'));
});

test.after(async ({ device }) => {
  await device[Symbol.asyncDispose]();
});

test('creates the agent again when another process removes it', async ({ device }) => {
  await device.agentRuns();
  const [{ StartedAt: first }, firstId] = await Promise.all([
    device.module('edgeAgent'),
    containerId(device),
  ]);
  await device.machine.docker('rm', '-f', 'edgeAgent');
  const again = await device.untilModule(
    'edgeAgent',
    ({ State, StartedAt }) => State === 'running' && StartedAt !== first,
  );
  assert.is.not(await containerId(device), firstId);
  assert.is(again['RestartReason'], 'its container was removed');
});

test('starts the agent again soon when it is killed, and says why', async ({ device }) => {
  await device.agentRuns();
  const { StartedAt: first } = await device.module('edgeAgent');
  await device.machine.docker('kill', 'edgeAgent');
  const again = await device.untilModule(
    'edgeAgent',
    ({ State, StartedAt }) => State === 'running' && StartedAt !== first,
  );
  assert.is(again['RestartReason'], 'ended with exit code 137');
  const finished = await device.machine.docker(
    'inspect',
    '-f',
    '{{.State.FinishedAt}}',
    'edgeAgent',
  );
  const downMs = Number(again['StartedAt']) / 1e3 - Date.parse(finished);
  // the delay of the next restart
  assert.ok(downMs < 10_000, `${downMs} ms`);
});

test('continues an agent that another process paused', async ({ device }) => {
  await device.agentRuns();
  const id = await containerId(device);
  await device.machine.docker('pause', 'edgeAgent');
  await until(60_000, 'the agent to run', async () =>
    (await device.containers()).includes('edgeAgent running'),
  );
  assert.is(await containerId(device), id);
});

test('keeps the agent stopped on request, across a restart of the service', async ({ device }) => {
  await device.agentRuns();
  const stop = ['sa{sv}', 'edgeAgent', '1', 'timeout_s', 'u', '0'];
  await device.succeed('Stop', stop);
  assert.equal(await device.containers(), ['edgeAgent exited']);
  await device.rig.stop('modules');
  await device.succeed('Describe', ['a{sv}', '0']);
  const stopped = await device.untilModule(
    'edgeAgent',
    ({ State }) => State !== undefined && State !== 'unknown',
  );
  assert.is(stopped['State'], 'stopped');
  assert.equal(await device.containers(), ['edgeAgent exited']);
  await device.invoke('Start', byName);
  await device.untilState('edgeAgent', 'running');
  assert.is(await device.errorOf('DeleteModule', byName), 'NotSupported');
});

test('replaces an agent only if its configuration changed', async ({ device }) => {
  await device.agentRuns();
  const [first, firstId] = [await device.module('edgeAgent'), await containerId(device)];
  const isThere = ({ State, ConfigDigest }: Module) => State === 'running' && ConfigDigest !== '';
  await device.restart(agent('sleep 1000'));
  const same = await device.untilModule('edgeAgent', isThere);
  assert.is(same['ConfigDigest'], first['ConfigDigest']);
  assert.is(await containerId(device), firstId);
  await device.restart(agent('sleep 1001'));
  const other = await device.untilModule(
    'edgeAgent',
    (module) => isThere(module) && module['StartedAt'] !== first['StartedAt'],
  );
  assert.is.not(other['ConfigDigest'], first['ConfigDigest']);
  assert.is.not(await containerId(device), firstId);
});

test('reports the end of an agent even if it succeeded', async ({ device }) => {
  await device.restart(agent('true'));
  const { ExitCode, LastError } = await device.untilState('edgeAgent', 'backoff');
  assert.is(ExitCode, 0);
  assert.is(LastError, 'ended with exit code 0');
});

test('restarts an agent that ends at once with growing delays, until it keeps running', async ({
  device,
}) => {
  const thirdTime = '[ -e /tmp/2 ] && sleep 1000; [ -e /tmp/1 ] && echo >/tmp/2; echo >/tmp/1';
  await device.rig.stop('modules');
  const before = await savedRestarts(device);
  await device.restart(agent(`${thirdTime}; exit 3`));
  const first = await device.untilModule(
    'edgeAgent',
    ({ State, ExitCode }) => State === 'backoff' && ExitCode === 3,
  );
  assert.is(first['LastError'], 'ended with exit code 3');
  const { LastError } = await device.untilManager(({ Health }) => Health === 'degraded');
  assert.is(LastError, 'module "edgeAgent": ended with exit code 3');
  const again = await device.untilModule(
    'edgeAgent',
    ({ RestartCount, State }) => RestartCount === before + 2 && State === 'running',
  );
  assert.is(again['LastError'], '');
  assert.is(again['RestartReason'], 'ended with exit code 3');
  // at once after the first end and 10 s after the second; the duration of the rest is open.
  const waited = seconds(first['FinishedAt'], again['StartedAt']);
  assert.ok(waited > 9.5, `${waited} s`);
  const there = await device.untilManager(({ Health }) => Health === 'ok');
  assert.is(there['LastError'], '');
});

test.run();
