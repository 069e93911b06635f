import { client } from '../../src/dbus/client/client.ts';
import { identityInterface, identityService } from '../../src/interfaces/identity.ts';
import type { Cloud } from '../support/cloud/cloud.ts';
import { useCloud } from '../support/rig/rig-cloud.ts';
import type { Scene } from './scene.ts';

const timeoutMs = 120_000;

/** Provisions with both versions of TLS, and shows that the result survives a restart of the service. */
export async function provision(
  { rig, account, signal }: Scene,
  { cloud, old }: { readonly cloud: Cloud; readonly old: Cloud },
): Promise<void> {
  await using bus = await rig.connect();
  const identity = client(bus, identityService, identityInterface);
  const options = { signal, timeoutMs };

  await useCloud(rig, old);
  const first = await identity.Provision({}, options);
  account.print(
    `${first.device.device_id} at ${first.device.hub_hostname}, over ${versionOf(old)}`,
  );

  await rig.stop('identity');
  await useCloud(rig, cloud);
  const { device } = await identity.Reprovision({}, options);
  account.print(`${device.device_id} at ${device.hub_hostname}, over ${versionOf(cloud)}`);
  account.print('The token signed both handshakes, for the Identity service over the bus.');

  await rig.stop('identity');
  const before = cloud.requests.length;
  const saved = await identity.GetDeviceIdentity({}, options);
  const more = cloud.requests.length - before;
  account.print(
    `after a restart it is still ${saved.identity.device_id}: ${more} requests to the cloud`,
  );
  account.tryThis(
    `busctl --address=${rig.address} call ${identityService.busName} ${identityService.path} ${identityInterface.name} GetDeviceIdentity 'a{sv}' 0`,
  );
}

function versionOf(cloud: Cloud): string {
  return cloud.requests.at(-1)?.protocol ?? 'nothing';
}
