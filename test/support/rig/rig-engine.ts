import { chmod, chown } from 'node:fs/promises';
import type { PrivateEngine } from '../engine/private-engine.ts';
import type { Rig } from './rig.ts';
import { rigUsers } from './rig-users.ts';

/** Configures an engine for the Module Runtime of a rig, effective at its next start. */
export async function useEngine(rig: Rig, engine: PrivateEngine): Promise<void> {
  const gid = rigUsers['iotedge-modules'];
  await chmod(engine.directory, 0o711);
  await chown(engine.socketPath, 0, gid);
  await chmod(engine.socketPath, 0o660);
  await rig.configure('modules', { moby_runtime: { uri: `unix://${engine.socketPath}` } });
}
