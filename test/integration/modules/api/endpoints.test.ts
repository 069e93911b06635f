/** Every endpoint and every documented status of both APIs, from inside a container and over the sockets of the host. */
import { execFile } from 'node:child_process';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { maxStreams } from '../../../../src/modules/api/http/streams.ts';
import { deadline, untilFound } from '../../../support/deadline.ts';
import { importNode } from '../../../support/engine/images.ts';
import { ModulesRig } from '../../../support/engine/modules-rig.ts';
import { bodyOf, getStream } from '../../../support/http/get-stream.ts';
import {
  difference,
  type Endpoint,
  type PrintedResponse,
  type SentRequest,
  sentRequest,
} from '../../../support/management/endpoints/endpoint.ts';
import { managementEndpoints, specs } from '../../../support/management/endpoints/management.ts';
import { managementInOutage } from '../../../support/management/endpoints/outage.ts';
import {
  strangerEndpoints,
  workloadEndpoints,
} from '../../../support/management/endpoints/workload.ts';
import { deviceName } from '../../../support/rig/rig-config.ts';
import { procsFiles } from '../../../support/system/cgroup.ts';

interface Context {
  device: ModulesRig;
  generationId: string;
}

const test = suite<Context>('the endpoints of both APIs');
const run = promisify(execFile);
const program = fileURLToPath(
  new URL('../../../../../test/support/management/endpoints/client.mjs', import.meta.url),
);
const agentImage = 'localhost/endpoints:1';
const createOptions = { Cmd: ['sh', '-c', 'echo printed; exec sleep 1000'], StopSignal: 'SIGKILL' };
const inside = {
  management: '/var/lib/iotedge/mgmt.sock',
  workload: '/var/lib/iotedge/workload.sock',
};

test.before(async (context) => {
  const config = { image: agentImage, createOptions: { StopSignal: 'SIGKILL' } };
  const device = await ModulesRig.start({ agent: { config } });
  context.device = device;
  await importNode(device.machine, { tag: agentImage, main: program });
  await device.agentRuns();
  device.cloud.registry.put(deviceName, { moduleId: 'camera', managedBy: 'other' });
  const modules = device.cloud.registry.modules.get(deviceName);
  context.generationId = modules?.get('$edgeAgent')?.generationId ?? '';
});

test.after(async ({ device }) => {
  await device[Symbol.asyncDispose]();
});

type Send = (requests: readonly SentRequest[]) => Promise<readonly PrintedResponse[]>;

/** From a process in the container of the agent. */
const insideAgent =
  ({ machine }: ModulesRig): Send =>
  async (requests) => {
    const words = ['', JSON.stringify(inside), JSON.stringify(requests)];
    const output = await machine.docker('exec', 'edgeAgent', 'node', '/app/main.mjs', ...words);
    return JSON.parse(output) as readonly PrintedResponse[]; // of the client
  };

/** From a process of the host, in these control groups, on the host's sockets or those in another directory. */
const onHost =
  ({ rig }: ModulesRig, groups: string, directory = ''): Send =>
  async (requests) => {
    const state = join(rig.stateDirectory('modules'), directory);
    const sockets = {
      management: join(state, 'mgmt.sock'),
      workload: join(state, 'workload.sock'),
    };
    const words = [program, groups, JSON.stringify(sockets), JSON.stringify(requests)];
    const { stdout } = await run(process.execPath, words, { maxBuffer: 1 << 28 });
    return JSON.parse(stdout) as readonly PrintedResponse[]; // of the client
  };

async function compare(api: SentRequest['api'], rows: readonly Endpoint[], send: Send) {
  const responses = await send(rows.map((row) => sentRequest(api, row)));
  const wrong = rows.flatMap((row, index) => {
    const response = responses[index] ?? { status: 0, headers: {}, text: '' };
    const found = difference(row, response);
    const body = row.body === undefined ? '' : ` ${JSON.stringify(row.body).slice(0, 200)}`;
    return found === undefined ? [] : [`${row.request}${body}: ${found}`];
  });
  assert.is(responses.length, rows.length);
  assert.is(wrong.join('\n'), '');
}

const facts = ({ generationId }: Context) => ({
  generationId,
  image: ModulesRig.image,
  createOptions,
});

test('of management have their statuses in the container of the agent', async (context) => {
  await compare('management', managementEndpoints(facts(context)), insideAgent(context.device));
});

test('of management have the same statuses on the host', async (context) => {
  await compare('management', managementEndpoints(facts(context)), onHost(context.device, ''));
});

test('of workload have their statuses in the container of a module', async (context) => {
  const rows = workloadEndpoints(context.generationId);
  await compare('workload', rows, insideAgent(context.device));
});

test('of workload have the same statuses on the host for a process of a module', async (context) => {
  const { device, generationId } = context;
  const pid = await device.machine.docker('inspect', '-f', '{{.State.Pid}}', 'edgeAgent');
  const groups = await procsFiles(Number(pid));
  await compare('workload', workloadEndpoints(generationId), onHost(device, groups));
});

/** Begins to follow the log of the rows' module on the host. */
function follow({ rig }: ModulesRig, query = ''): Promise<IncomingMessage> {
  const path = `/modules/probe/logs?follow=true&api-version=2022-08-03${query}`;
  return getStream(join(rig.stateDirectory('modules'), 'mgmt.sock'), path);
}

/** Creates the rows' module, and starts it. */
async function startProbe(context: Context): Promise<void> {
  const rows = [
    { request: 'POST /modules', status: 201, body: specs(facts(context))() },
    { request: 'POST /modules/probe/start', status: 204 },
  ];
  await compare('management', rows, onHost(context.device, ''));
}

test('of management follow a log to its time, while the client is there, and to the removal', async (context) => {
  const { device } = context;
  await startProbe(context);
  const until = new Date(Date.now() + 1_000).toISOString();
  const timed = await follow(device, `&until=${until}`);
  assert.is(timed.statusCode, 200);
  assert.match(await deadline(20_000, bodyOf(timed), 'its end').then(String), /printed\n$/);
  const all = await Promise.all(Array.from({ length: maxStreams }, () => follow(device)));
  assert.ok(all.every(({ statusCode }) => statusCode === 200));
  const refused = await follow(device);
  assert.is(refused.statusCode, 503);
  assert.match(await bodyOf(refused).then(String), /limit of 16 streams/);
  for (const one of all) one.destroy();
  const last = await untilFound(20_000, 'a free place', async () => {
    const response = await follow(device);
    if (response.statusCode === 200) return response;
    response.resume();
    return undefined;
  });
  const body = bodyOf(last);
  const removal = [{ request: 'DELETE /modules/probe', status: 204 }];
  await compare('management', removal, onHost(device, ''));
  assert.match(await deadline(20_000, body, 'its end').then(String), /printed\n$/);
});

test('of workload are refused to any other process', async ({ device, generationId }) => {
  const rows = strangerEndpoints(workloadEndpoints(generationId));
  await compare('workload', rows, onHost(device, ''));
});

test('are served while the engine is away, unless they need it', async (context) => {
  const { device, generationId } = context;
  await startProbe(context);
  const pid = await device.machine.docker('inspect', '-f', '{{.State.Pid}}', 'edgeAgent');
  const groups = await procsFiles(Number(pid));
  await compare('workload', [{ request: 'GET /modules', status: 200 }], onHost(device, groups));
  // the container of the agent runs on
  await device.machine.stopDaemon('SIGKILL');
  await device.untilState('edgeAgent', 'unknown');
  await device.untilState('probe', 'unknown');
  const [own, host] = [onHost(device, '', 'mnt/edgeAgent'), onHost(device, groups)];
  for (const send of [own, host]) await compare('workload', workloadEndpoints(generationId), send);
  const rows = managementInOutage(facts(context));
  await compare('management', rows, onHost(device, ''));
});

test.run();
