import { client } from '../../src/dbus/client/client.ts';
import { keysInterface, keysService } from '../../src/interfaces/keys.ts';
import type { Rig } from '../support/rig/rig.ts';
import { lifetimeMs } from './processes.ts';

/** Milliseconds from the first call to its reply, including the activation of the service, and of a Node without a program. */
export interface Activation {
  readonly ours: number;
  readonly floor: number;
}

/** Measures a call of a Keys service that does not run. */
export async function activation(rig: Rig): Promise<Activation> {
  await rig.stop('keys');
  await using bus = await rig.connect();
  const keys = client(bus, keysService, keysInterface);
  const startedAt = performance.now();
  await keys.GetPublicKey({ key_id: 'device-id' });
  const ours = performance.now() - startedAt;
  return { ours, floor: await lifetimeMs(process.execPath, ['-e', '0']) };
}
