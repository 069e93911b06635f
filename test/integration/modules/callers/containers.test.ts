/** Processes of real containers call on the host's workload socket, with the engine and without. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { untilFound } from '../../../support/deadline.ts';
import { importNode } from '../../../support/engine/images.ts';
import { ModulesRig } from '../../../support/engine/modules-rig.ts';
import { procsFiles } from '../../../support/system/cgroup.ts';
import { requestOn, version } from '../../../support/workload/api.ts';

interface Context {
  device: ModulesRig;
}

const test = suite<Context>('containers that call on the host workload socket');
const run = promisify(execFile);
const program = fileURLToPath(
  new URL('../../../../../test/support/workload/host-caller.mjs', import.meta.url),
);
const image = 'localhost/host-caller:1';
const socket = '/state/workload.sock';

/** The directory of the host's socket is mounted; only an elevated module may. */
function config(device: ModulesRig, Cmd: readonly string[]) {
  const Binds = [`${device.rig.stateDirectory('modules')}:/state`];
  return { image, createOptions: { Cmd, StopSignal: 'SIGKILL', HostConfig: { Binds } } };
}

test.before(async (context) => {
  const device = await ModulesRig.start({ agent: { config: { image } } });
  context.device = device;
  await importNode(device.machine, { tag: image, main: program });
  const agent = { config: config(device, ['sleep', '1000']) };
  await device.restart({ agent, allow_elevated: true });
  await device.agentRuns();
});

test.after(async ({ device }) => {
  await device[Symbol.asyncDispose]();
});

function pathOf(device: ModulesRig, verb: string, module = '$edgeAgent'): string {
  const modules = [...device.cloud.registry.modules.values()].flatMap((all) => [...all]);
  const generation = modules.find(([id]) => id === module)?.[1].generationId ?? '';
  const ids = [module, generation].map(encodeURIComponent);
  return `/modules/${ids[0]}/genid/${ids[1]}/${verb}?${version}`;
}

function statusesOf(output: string): readonly number[] {
  const lines = output.trim().split('\n');
  return lines.map((line) => (JSON.parse(line) as { readonly status: number }).status);
}

/** Requests by a process in the container of a module. */
async function fromContainer(device: ModulesRig, name: string, ...requests: string[]) {
  const words = ['exec', name, 'node', '/app/main.mjs', '', socket, ...requests];
  return statusesOf(await device.machine.docker(...words));
}

test('are the module, whichever process of the container calls', async ({ device }) => {
  const sign = `POST:${pathOf(device, 'sign')}`;
  const modules = `GET:/modules?${version}`;
  assert.equal(await fromContainer(device, 'edgeAgent', sign, modules), [200, 200]);
  const path = join(device.rig.stateDirectory('modules'), 'workload.sock');
  const { stdout } = await run(process.execPath, [program, '', path, sign, modules]);
  assert.equal(statusesOf(stdout), [403, 403]);
});

test('may call at their start, and only as themselves', async ({ device }) => {
  const own = `POST:/modules/early/certificate/identity?${version}`;
  const other = `POST:${pathOf(device, 'sign')}`;
  const Cmd = ['node', '/app/main.mjs', '', socket, own, other];
  const byName = { signature: 'sa{sv}', body: ['early', {}] };
  await device.invoke('CreateModule', {
    signature: 'sssa{ss}a{sv}',
    body: ['early', 'docker', JSON.stringify(config(device, Cmd)), {}, {}],
  });
  await device.invoke('Start', byName);
  const log = await untilFound(30_000, 'the responses', async () => {
    const [bytes] = await device.invoke('GetLogs', byName);
    const text = Buffer.from(bytes as Uint8Array).toString(); // `ay` by its signature
    return text.split('\n').length > 2 ? text : undefined;
  });
  assert.equal(statusesOf(log.split('\n').slice(0, 2).join('\n')), [201, 403]);
});

test('are recognized while the engine is down; their own sockets do not need it', async ({
  device,
}) => {
  const pid = await device.machine.docker('inspect', '-f', '{{.State.Pid}}', 'edgeAgent');
  const groups = await procsFiles(Number(pid));
  await device.machine.stopDaemon('SIGKILL');
  await device.untilManager(({ LastError }) => /cannot be reached/.test(String(LastError)));
  const requests = ['sign', 'encrypt', 'decrypt', 'certificate/server', 'certificate/identity'];
  const own = join(device.rig.stateDirectory('modules'), 'mnt/edgeAgent/workload.sock');
  const body = { data: 'AAAA', plaintext: 'AAAA', initializationVector: 'AAAA' };
  const { json } = await requestOn(own, 'POST', pathOf(device, 'encrypt'), body);
  const bodies = { ...body, ...json, commonName: 'edgeAgent' };
  for (const verb of requests) {
    const path =
      verb === 'certificate/identity'
        ? `/modules/%24edgeAgent/${verb}?${version}`
        : pathOf(device, verb);
    const { status } = await requestOn(own, 'POST', path, bodies);
    assert.is(status, verb.startsWith('certificate') ? 201 : 200, verb);
  }
  assert.is((await requestOn(own, 'GET', `/trust-bundle?${version}`)).status, 200);
  const host = join(device.rig.stateDirectory('modules'), 'workload.sock');
  const words = [program, groups, host, `POST:${pathOf(device, 'sign')}`];
  const { stdout } = await run(process.execPath, words);
  assert.equal(statusesOf(stdout), [200]);
  await device.machine.startDaemon();
});

test.run();
