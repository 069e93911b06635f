/** The services behind a module's requests are temporarily unavailable. */
import { spawn } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { deadline, until } from '../../../support/deadline.ts';
import { ModulesRig } from '../../../support/engine/modules-rig.ts';
import type { ServiceName } from '../../../support/rig/rig-services.ts';
import { requestOn } from '../../../support/workload/api.ts';

interface Context {
  device: ModulesRig;
}

const test = suite<Context>('outage of the services behind the workload API');
const createOptions = { Cmd: ['sleep', '1000'], StopSignal: 'SIGKILL' };
const agent = { config: { image: ModulesRig.image, createOptions } };
/** A longer run can set the length of a real outage. */
const outageMs = Number(process.env['IOTEDGE_TEST_OUTAGE_S'] ?? 4) * 1000;
const renewingClient = fileURLToPath(
  new URL('../../../../../test/support/workload/renewing-client.mjs', import.meta.url),
);
const version = 'api-version=2018-06-28';

test.before(async (context) => {
  context.device = await ModulesRig.start({ agent });
  await context.device.agentRuns();
});

test.after(async ({ device }) => {
  await device[Symbol.asyncDispose]();
});

function socketOf(device: ModulesRig): string {
  return join(device.rig.stateDirectory('modules'), 'mnt/edgeAgent/workload.sock');
}

function pathOf(device: ModulesRig, verb: string): string {
  const modules = [...device.cloud.registry.modules.values()].flatMap((all) => [...all]);
  const generation = modules.find(([id]) => id === '$edgeAgent')?.[1].generationId ?? '';
  return `/modules/%24edgeAgent/genid/${encodeURIComponent(generation)}/${verb}?${version}`;
}

/** Stops a service, which cannot be started until it is repaired. */
async function breakService({ rig }: ModulesRig, service: ServiceName) {
  const launcher = await readFile(rig.launcher(service), 'utf8');
  await writeFile(rig.launcher(service), 'exit 78\n');
  await rig.stop(service);
  return { repair: () => writeFile(rig.launcher(service), launcher) };
}

const bodies: Readonly<Record<string, object>> = {
  sign: { data: 'AAAA' },
  encrypt: { plaintext: 'AAAA', initializationVector: 'AAAA' },
  'certificate/server': { commonName: 'edgeAgent' },
};

test('lets a client that signs once per token survive an outage of Keys', async ({ device }) => {
  const args = [renewingClient, socketOf(device), pathOf(device, 'sign'), '1000'];
  const client = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let printed = '';
  client.stdout.on('data', (chunk: Buffer) => {
    printed += chunk.toString();
  });
  const renewals = (): number => printed.split('renewed').length - 1;
  await until(20_000, 'a renewal', () => renewals() > 0);
  const { repair } = await breakService(device, 'keys');
  const before = renewals();
  await sleep(outageMs);
  assert.ok(renewals() <= before + 1, 'Keys was available');
  await repair();
  await until(40_000, 'renewals after the outage', () => renewals() > before + 3);
  assert.is(client.exitCode, null);
  client.kill();
});

test('holds requests while Identity or Certificates cannot be started', async ({ device }) => {
  const cases: readonly (readonly [ServiceName, string])[] = [
    ['keys', 'encrypt'],
    ['certificates', 'certificate/server'],
    ['identity', 'sign'],
  ];
  for (const [service, verb] of cases) {
    // its cache of identities is lost, and they have to be fetched again
    await device.rig.stop('modules');
    await device.agentRuns();
    if (service === 'identity') await device.rig.stop('modules');
    const { repair } = await breakService(device, service);
    if (service === 'identity') await device.call('Describe', ['a{sv}', '0'], 'operator');
    const response = requestOn(socketOf(device), 'POST', pathOf(device, verb), bodies[verb]);
    const early = await Promise.race([response, sleep(1_500, undefined)]);
    assert.is(early, undefined, `${verb} was served without ${service}`);
    await repair();
    const { status } = await deadline(30_000, response, `the response to ${verb}`);
    assert.ok(status === 200 || status === 201, `${verb}: ${status}`);
  }
});

test('holds all concurrent requests, and serves others meanwhile', async ({ device }) => {
  const { repair } = await breakService(device, 'keys');
  const [socket, path] = [socketOf(device), pathOf(device, 'sign')];
  const held = Array.from({ length: 60 }, () => requestOn(socket, 'POST', path, bodies['sign']));
  await sleep(1_500);
  const list = await deadline(5_000, requestOn(socket, 'GET', `/modules?${version}`), 'the list');
  assert.is(list.status, 200);
  await repair();
  const responses = await Promise.all(held);
  assert.is(responses.filter(({ status }) => status === 200).length, held.length);
});

test('responds with 503 after half a minute, naming what is unavailable; the journal calls it an outage', async ({
  device,
}) => {
  const { repair } = await breakService(device, 'keys');
  const before = performance.now();
  const { status, reason, json } = await requestOn(
    socketOf(device),
    'POST',
    pathOf(device, 'sign'),
    bodies['sign'],
  );
  await repair();
  assert.equal([status, reason], [503, 'Unavailable']);
  assert.ok(performance.now() - before > 25_000, 'it was not held');
  assert.match(String(json['message']), /^the keys service cannot be reached: /);
  const log = await device.rig.log('modules');
  assert.match(log, /service unreachable, module requests are waiting service=keys/);
  assert.match(log, /workload request failed .*status=503/);
});

test('responds at once to requests that cannot succeed later', async ({ device }) => {
  const statusOf = async (verb: string, body: object) => {
    const response = requestOn(socketOf(device), 'POST', pathOf(device, verb), body);
    return (await deadline(20_000, response, `the response to ${verb}`)).status;
  };
  assert.is(await statusOf('certificate/server', { commonName: 'other' }), 403);
  const damaged = { ciphertext: 'AAAA', initializationVector: 'AAAA' };
  assert.is(await statusOf('decrypt', damaged), 400);
});

test.run();
