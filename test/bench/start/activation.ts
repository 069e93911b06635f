import { client } from '../../../src/dbus/client/client.ts';
import { keysInterface, keysService } from '../../../src/interfaces/keys.ts';
import type { Rig } from '../../support/rig/rig.ts';
import { lifetimeMs } from '../processes.ts';
import { median, type Result } from '../result.ts';

/** Milliseconds from the first call to its reply, including the activation of the service, and of a Node without a program. */
export interface Activation {
  readonly ours: number;
  readonly floor: number;
}

/** Measures a call of a Keys service that does not run; its reply waits for the token when there is one. */
export async function activation(rig: Rig, hasToken = true): Promise<Activation> {
  await rig.stop('keys');
  await using bus = await rig.connect();
  const keys = client(bus, keysService, keysInterface);
  const startedAt = performance.now();
  if (hasToken) await keys.GetPublicKey({ key_id: 'device-id' });
  else await keys.GetRandom({ count: 32 });
  const ours = performance.now() - startedAt;
  return { ours, floor: await lifetimeMs(process.execPath, ['-e', '0']) };
}

/** The activation of Keys, against a Node without a program. */
export async function activations(rig: Rig, count: number, hasToken = true): Promise<Result> {
  const all: Activation[] = [];
  while (all.length < count) all.push(await activation(rig, hasToken));
  return {
    what: `activation of keys to its first reply, ${hasToken ? 'with a' : 'no'} token`,
    measured: `${median(all.map(({ ours }) => ours)).toFixed(0)} ms`,
    floor: `${median(all.map(({ floor }) => floor)).toFixed(0)} ms node -e 0`,
    ratio: median(all.map(({ ours, floor }) => ours / floor)),
    wanted: hasToken ? '<= 1.50' : '<= 1.20',
  };
}
