import type { Bus } from '../../../src/dbus/bus.ts';
import { type Client, client } from '../../../src/dbus/client/client.ts';
import { identityInterface, identityService } from '../../../src/interfaces/identity.ts';
import type { Cloud } from '../cloud/cloud.ts';
import { Rig } from '../rig/rig.ts';
import { cloudSettings, startRigCloud } from '../rig/rig-cloud.ts';

/** A device, its cloud double, and a client of its Identity service. */
export interface CloudDevice extends AsyncDisposable {
  readonly rig: Rig;
  readonly bus: Bus;
  readonly cloud: Cloud;
  readonly identity: Client<typeof identityInterface>;
}

/**
 * Starts a device that is not provisioned yet; `settings` override identity.yaml. All members are own properties,
 * so that a suite can assign them to its context.
 */
export async function startCloudDevice(settings: object = {}): Promise<CloudDevice> {
  const rig = await Rig.start();
  const bus = await rig.connect();
  const cloud = await startRigCloud(rig);
  await rig.configure('identity', { ...cloudSettings(rig, cloud), ...settings });
  return {
    rig,
    bus,
    cloud,
    identity: client(bus, identityService, identityInterface),
    async [Symbol.asyncDispose]() {
      await bus.close();
      await cloud[Symbol.asyncDispose]();
      await rig[Symbol.asyncDispose]();
    },
  };
}
