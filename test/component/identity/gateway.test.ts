/** A device below a gateway: requests go there, names and tokens stay those of the hub. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { until } from '../../support/deadline.ts';
import { failureOf } from '../../support/failure.ts';
import {
  hubName,
  IdentityInProcess,
  registrationId,
} from '../../support/identity/identity-in-process.ts';
import { suite } from '../../support/timed-suite.ts';

const test = suite('a device below a gateway');
const gateway = 'parent.example:8443';
const below = { provisioning: `  gateway_hostname: '${gateway}'` };

async function deviceWith(options?: Parameters<IdentityInProcess['start']>[0]) {
  const device = await IdentityInProcess.create();
  await device.start({ live: false, ...options });
  return device;
}

/** The places that requests were sent to. */
function hostsOf({ cloud }: IdentityInProcess): readonly string[] {
  return [...new Set(cloud.requests.map(({ url }) => new URL(url).host))];
}

/** The hubs and gateways of a device, of its records, and of what it publishes. */
async function namesOf(device: IdentityInProcess): Promise<readonly string[]> {
  const options = { refresh: true };
  const { identity } = await device.call('GetDeviceIdentity');
  const { identity: own } = await device.call('GetModuleIdentity', { module_id: 'app' });
  const { identity: called } = await device.call('GetCallerIdentity', {}, { uid: 7 });
  const { identities: saved } = await device.call('ListModuleIdentities');
  const { identities: listed } = await device.call('ListModuleIdentities', { options });
  assert.ok(listed.some(({ module_id: id }) => id === '$edgeHub'));
  const { HubHostname, GatewayHostname } = device.shown.properties;
  const module = device.shown.objects.get('app');
  const records = [identity, own, called, ...saved, ...listed];
  return [
    ...new Set([
      ...records.map((one) => `${one.hub_hostname} ${one.gateway_hostname}`),
      `${String(HubHostname)} ${String(GatewayHostname)}`,
      `${String(module?.['HubHostname'])} ${String(module?.['GatewayHostname'])}`,
    ]),
  ];
}

const app = { yaml: 'principals: { app: { uid: 7, module_id: app } }' };

test('sends every request to it, and has tokens for the hub', async () => {
  await using device = await deviceWith({ ...below, ...app });
  const { device: provisioned } = await device.call('Provision');
  assert.equal([provisioned.hub_hostname, provisioned.gateway_hostname], [hubName, gateway]);
  const { identity } = await device.call('CreateModuleIdentity', { module_id: 'app' });
  assert.is(identity.gateway_hostname, gateway);
  const { identity: updated } = await device.call('UpdateModuleIdentity', { module_id: 'app' });
  assert.is(updated.gateway_hostname, gateway);
  assert.equal(await namesOf(device), [`${hubName} ${gateway}`]);
  const request = { module_id: 'app', audience: '', lifetime_s: 60 };
  const { token } = await device.call('CreateSasToken', request);
  const resource = `${hubName}/devices/${registrationId}/modules/app`;
  assert.match(token, `sr=${encodeURIComponent(resource)}&`);
  const other = { ...request, audience: resource.replace(hubName, gateway) };
  assert.is(await failureOf(device.call('CreateSasToken', other)), 'InvalidArgs');
  await device.call('DeleteModuleIdentity', { module_id: 'app' });
  assert.equal(hostsOf(device), [gateway]);
});

test('registers where its endpoint says, when that is set', async () => {
  const provisioning = `${below.provisioning}\n  global_endpoint: 'https://dps.example'`;
  await using device = await deviceWith({ provisioning });
  await device.call('Provision');
  assert.equal(hostsOf(device), ['dps.example']);
  await device.call('CreateModuleIdentity', { module_id: 'app' });
  assert.equal(hostsOf(device), ['dps.example', gateway]);
});

test('moves below it and back by a reload, and stays provisioned', async () => {
  await using device = await deviceWith(app);
  await device.call('Provision');
  await device.call('CreateModuleIdentity', { module_id: 'app' });
  const saved = await readFile(join(device.stateDir, 'device.json'), 'utf8');
  for (const [settings, name] of [
    [below, gateway],
    [{ provisioning: `  gateway_hostname: other` }, 'other'],
    [{}, hubName],
  ] as const) {
    device.cloud.requests.length = 0;
    await device.reload({ ...app, ...settings });
    const { State, Health } = device.shown.properties;
    assert.equal([State, Health, device.running.isBusy?.()], ['provisioned', 'ok', false]);
    assert.equal(await namesOf(device), [`${hubName} ${name}`]);
    await device.call('UpdateModuleIdentity', { module_id: 'app' });
    assert.equal(hostsOf(device), [name]);
  }
  assert.is(device.cloud.registrations(), 0);
  assert.is(await readFile(join(device.stateDir, 'device.json'), 'utf8'), saved);
});

test('moves below it and back by a restart, also with the state of an older version', async () => {
  await using device = await deviceWith(app);
  await device.call('Provision');
  await device.call('CreateModuleIdentity', { module_id: 'app' });
  const file = join(device.stateDir, 'device.json');
  const { registrationId: _, ...older } = JSON.parse(await readFile(file, 'utf8')) as object & {
    readonly registrationId: string;
  };
  await writeFile(file, JSON.stringify(older));
  const count = device.cloud.registrations();
  for (const [settings, name] of [
    [below, gateway],
    [{}, hubName],
  ] as const) {
    await device.stop();
    await device.start({ ...app, ...settings });
    assert.equal(await namesOf(device), [`${hubName} ${name}`]);
    assert.is(device.shown.properties['State'], 'provisioned');
  }
  assert.is(device.cloud.registrations(), count);
});

test('keeps what it got through the gateway when that is gone', async () => {
  await using device = await deviceWith(below);
  await device.call('Provision');
  const count = device.cloud.registrations();
  await device.stop();
  await device.start({});
  const { State, GatewayHostname, LastError } = device.shown.properties;
  assert.equal([State, GatewayHostname, LastError], ['provisioned', hubName, '']);
  await device.stop();
  await device.start(below);
  assert.equal(
    [device.shown.properties['State'], device.cloud.registrations()],
    ['provisioned', count],
  );
});

test('does not wait there for the Retry-After of another place', async () => {
  await using device = await deviceWith();
  device.cloud.interfere = ({ url }) =>
    url.includes(gateway) ? undefined : { status: 429, headers: { 'retry-after': '3000' } };
  assert.is(await failureOf(device.call('Provision')), 'Unavailable');
  await device.reload(below);
  await until(10_000, 'it', () => device.shown.properties['State'] === 'provisioned');
  assert.equal(hostsOf(device), ['global.azure-devices-provisioning.net', gateway]);
});

test('has no gateway before it has a hub', async () => {
  await using device = await deviceWith(below);
  assert.is(device.shown.properties['GatewayHostname'], '');
  const { device: pending } = await device.call('Provision', { options: { wait: false } });
  assert.equal([pending.hub_hostname, pending.gateway_hostname], ['', '']);
  await until(10_000, 'it', () => device.shown.properties['GatewayHostname'] === gateway);
});

test.run();
