import type { Bus } from '../../dbus/bus.ts';
import { keysService } from '../../interfaces/keys.ts';
import { describeService } from '../description.ts';
import { ownTokenKeys } from './plan.ts';

/** The keys in tokens that can be deleted; none when the Keys service does not describe them and none was asked for. */
export async function tokenKeys(bus: Bus, named: readonly string[]): Promise<readonly string[]> {
  try {
    const { objects } = await describeService(bus, keysService);
    return ownTokenKeys(Object.entries(objects));
  } catch (error) {
    if (named.length > 0) throw error;
    return [];
  }
}

/** Deletes a key, in its token too. */
export async function deleteKey(bus: Bus, id: string): Promise<void> {
  const { busName: destination, path, manager } = keysService;
  const call = { destination, path, interface: manager.name, member: 'DeleteKey' };
  await bus.call({ ...call, signature: 'sa{sv}', body: [id, {}] });
}
