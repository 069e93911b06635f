/** The names in server certificates of modules, with all services. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ModulesRig } from '../../../support/engine/modules-rig.ts';
import { requestOn, type WorkloadResponse } from '../../../support/workload/api.ts';

interface Context {
  device: ModulesRig;
}

const test = suite<Context>('server certificates');
const { image } = ModulesRig;
const createOptions = { Cmd: ['sleep', '1000'], StopSignal: 'SIGKILL' };
const agent = { config: { image, createOptions } };
/** A machine name from a cloud: longer than a common name may be. */
const hostname = 'iotedge-devtest.4d4p0pcxyg0unojsbvyrqks2zd.bx.internal.cloudapp.example.net';
const settings = {
  agent,
  hostname: `${hostname}.`,
  server_names: { sensor: [hostname, 'sensor.plant.example', '10.0.0.7', '2001:db8::7'] },
};
const version = 'api-version=2018-06-28';
const expiration = '2031-01-01T00:00:00.1234567Z';

async function runs(device: ModulesRig, name: string, options: object = {}): Promise<void> {
  const config = { image, createOptions: { ...createOptions, ...options } };
  const create = ['sssa{ss}a{sv}', name, 'docker', JSON.stringify(config), '0', '0'];
  await device.succeed('CreateModule', create);
  await device.succeed('Start', ['sa{sv}', name, '0']);
  await device.untilState(name, 'running');
}

test.before(async (context) => {
  const device = await ModulesRig.start(settings);
  context.device = device;
  await device.agentRuns();
  await runs(device, 'edgeHub');
  await runs(device, 'sensor');
  const EndpointsConfig = { 'azure-iot-edge': { Aliases: ['sieve'] } };
  await runs(device, 'filter', { Hostname: 'front2', NetworkingConfig: { EndpointsConfig } });
});

test.after(async ({ device }) => {
  await device[Symbol.asyncDispose]();
});

function ask(device: ModulesRig, module: string, commonName: string): Promise<WorkloadResponse> {
  const all = [...device.cloud.registry.modules.values()].flatMap((modules) => [...modules]);
  const id = module.startsWith('edge') ? `$${module}` : module;
  const generation = all.find(([one]) => one === id)?.[1].generationId ?? '';
  const path = `/modules/${encodeURIComponent(id)}/genid/${generation}/certificate/server?${version}`;
  const socket = join(device.rig.stateDirectory('modules'), 'mnt', module, 'workload.sock');
  return requestOn(socket, 'POST', path, { commonName, expiration });
}

const hub = 'edgeHub';
const given: readonly (readonly [module: string, name: string, cn: string, san: string])[] = [
  [hub, '$edgeHub', '$edgeHub', 'DNS:edgehub'],
  [hub, 'edgeHub', 'edgeHub', 'DNS:edgehub'],
  [hub, hostname, '$edgeHub', `DNS:${hostname}, DNS:edgehub`],
  [hub, `${hostname}.`, '$edgeHub', `DNS:${hostname}, DNS:edgehub`],
  [hub, hostname.toUpperCase(), '$edgeHub', `DNS:${hostname}, DNS:edgehub`],
  ['sensor', 'sensor', 'sensor', 'DNS:sensor'],
  ['sensor', hostname, 'sensor', `DNS:${hostname}, DNS:sensor`],
  [
    'sensor',
    'sensor.plant.example.',
    'sensor.plant.example',
    'DNS:sensor.plant.example, DNS:sensor',
  ],
  ['sensor', '10.0.0.7', '10.0.0.7', 'IP Address:10.0.0.7, DNS:sensor'],
  ['sensor', '2001:db8::7', '2001:db8::7', 'IP Address:2001:DB8:0:0:0:0:0:7, DNS:sensor'],
  ['filter', 'sieve', 'sieve', 'DNS:sieve, DNS:filter'],
  ['filter', 'front2', 'front2', 'DNS:front2, DNS:filter'],
];

for (const [module, name, cn, san] of given) {
  test(`certify ${module} as ${name}`, async ({ device }) => {
    const { status, json } = await ask(device, module, name);
    assert.is(status, 201, JSON.stringify(json));
    const leaf = new X509Certificate(String(json['certificate']));
    assert.is(leaf.subject, `CN=${cn}`);
    assert.is(leaf.subjectAltName, san);
    const { bytes } = json['privateKey'] as { readonly bytes: string }; // read as a key right here
    assert.ok(leaf.checkPrivateKey(createPrivateKey(bytes)));
  });
}

test('certify a module by the host name that the engine generated for its container', async ({
  device,
}) => {
  const inspect = ['inspect', '--format', '{{.Config.Hostname}}', 'sensor'];
  const own = (await device.machine.docker(...inspect)).trim();
  assert.is((await ask(device, 'sensor', own)).status, 201);
  assert.is((await ask(device, 'filter', own)).status, 403);
});

test('are for keys of the configured kind', async ({ device }) => {
  const keyOf = async () => {
    const { json } = await ask(device, 'sensor', 'sensor');
    const { bytes } = json['privateKey'] as { readonly bytes: string }; // read as a key right here
    const key = createPrivateKey(bytes);
    assert.ok(new X509Certificate(String(json['certificate'])).checkPrivateKey(key));
    return key.asymmetricKeyDetails;
  };
  assert.is((await keyOf())?.modulusLength, 2048);
  await device.restart({ ...settings, module_key: 'ec-p256' });
  await device.untilState('sensor', 'running');
  assert.is((await keyOf())?.namedCurve, 'prime256v1');
});

test('are refused for names of others, with the place to configure a name', async ({ device }) => {
  const refused = [
    ['sensor', 'edgeHub'],
    ['sensor', '$edgeHub'],
    ['sensor', 'other.example'],
    ['filter', hostname],
    ['filter', '10.0.0.7'],
    [hub, 'sensor.plant.example'],
    [hub, '*'],
    [hub, ''],
  ] as const;
  for (const [module, name] of refused) {
    const { status, reason, json } = await ask(device, module, name);
    assert.equal([status, reason], [403, 'Forbidden'], `${module} as ${name}`);
    assert.match(String(json['message']), /server_names/);
  }
});

test.run();
