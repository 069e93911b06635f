/** Every endpoint and every documented status of both APIs, from inside a container and over the sockets of the host. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { importNode } from '../../../support/engine/images.ts';
import { ModulesRig } from '../../../support/engine/modules-rig.ts';
import {
  difference,
  type Endpoint,
  type PrintedResponse,
  type SentRequest,
  sentRequest,
} from '../../../support/management/endpoints/endpoint.ts';
import { managementEndpoints } from '../../../support/management/endpoints/management.ts';
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

/** From a process of the host, in these control groups. */
const onHost =
  ({ rig }: ModulesRig, groups: string): Send =>
  async (requests) => {
    const state = rig.stateDirectory('modules');
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

test('of workload are refused to any other process', async ({ device, generationId }) => {
  const rows = strangerEndpoints(workloadEndpoints(generationId));
  await compare('workload', rows, onHost(device, ''));
});

test.run();
