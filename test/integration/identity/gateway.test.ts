/** A device below a gateway, which is another server than the hub and passes its requests on. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Cloud } from '../../support/cloud/cloud.ts';
import { passOn } from '../../support/cloud/gateway.ts';
import { refusalOfSas } from '../../support/cloud/sas.ts';
import { until } from '../../support/deadline.ts';
import { messageOf } from '../../support/failure.ts';
import { type CloudDevice, startCloudDevice } from '../../support/identity/cloud-device.ts';
import { cloudSettings, startRigCloud } from '../../support/rig/rig-cloud.ts';
import { deviceName } from '../../support/rig/rig-config.ts';

const test = suite<CloudDevice & { gateway: Cloud }>('a device below a gateway');

test.before(async (context) => {
  Object.assign(context, await startCloudDevice());
  context.gateway = await startRigCloud(context.rig);
  passOn(context.gateway, context.cloud);
});
test.after(async (context) => {
  await context.gateway?.[Symbol.asyncDispose]();
  await context[Symbol.asyncDispose]();
});

const kinds = ({ requests }: Cloud): readonly string[] => [
  ...new Set(requests.map(({ url }) => (/registrations/.test(url) ? 'registration' : 'hub'))),
];

test('needs no connection but that to the gateway', async ({ rig, cloud, gateway, identity }) => {
  const { cloud: trust } = cloudSettings(rig, cloud);
  const provisioning = { gateway_hostname: gateway.host };
  await rig.configure('identity', { provisioning, cloud: trust, idle_exit_s: 0 });
  const { device } = await identity.Provision({});
  assert.equal([device.hub_hostname, device.gateway_hostname], [cloud.host, gateway.host]);
  const { identity: module } = await identity.CreateModuleIdentity({ module_id: 'app' });
  assert.equal([module.hub_hostname, module.gateway_hostname], [cloud.host, gateway.host]);
  const { token } = await identity.CreateSasToken({
    module_id: 'app',
    audience: '',
    lifetime_s: 60,
  });
  const { primaryKey = '' } = cloud.registry.modules.get(deviceName)?.get('app')?.keys ?? {};
  const resource = `${cloud.host}/devices/${deviceName}/modules/app`;
  const key = Buffer.from(primaryKey, 'base64');
  assert.is(refusalOfSas(token, { resource, key, now: new Date() }), undefined);
  assert.equal(kinds(gateway), ['registration', 'hub']);
  assert.equal(cloud.requests, []);
});

test('leaves it by a reload, and stays provisioned', async ({ rig, cloud, gateway, identity }) => {
  const { cloud: trust } = cloudSettings(rig, cloud);
  await rig.configure('identity', { cloud: trust, idle_exit_s: 0 });
  assert.is(await rig.reload('identity'), 'reloaded');
  gateway.requests.length = 0;
  const gatewayIs = async (name: string): Promise<boolean> =>
    (await identity.GetDeviceIdentity({})).identity.gateway_hostname === name;
  await until(10_000, 'the hub itself', () => gatewayIs(cloud.host));
  await identity.CreateModuleIdentity({ module_id: 'other' });
  assert.equal([kinds(gateway), kinds(cloud)], [[], ['hub']]);
});

test('says which setting to change while the gateway is not trusted', async (context) => {
  const { rig, gateway, identity } = context;
  await rig.configure('identity', {
    provisioning: { gateway_hostname: gateway.host },
    idle_exit_s: 0,
  });
  assert.is(await rig.reload('identity'), 'reloaded');
  const failure = await messageOf(identity.CreateModuleIdentity({ module_id: 'third' }));
  assert.match(failure, 'set cloud.trusted_ca to the roots of the cloud or of the gateway');
});

test.run();
