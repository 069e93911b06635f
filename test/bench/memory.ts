import { setTimeout as sleep } from 'node:timers/promises';
import type { Rig } from '../support/rig/rig.ts';
import type { ServiceName } from '../support/rig/rig-services.ts';
import { background, type Memory, memoryMiB } from './processes.ts';
import type { Result } from './result.ts';
import { startedProcess } from './started-process.ts';

const settleMs = 2500;
/** The wanted private memory in MiB: of Keys without a token, of its child for each library, and of the others when idle. */
const wanted = { keys: 14, certificates: 14, identity: 16, modules: 17 } as const;
const wantedOfLibrary = 9;

/** The memory of services after their first call, with their child processes, against a Node without a program. */
export async function memory(
  rig: Rig,
  { libraries = 1, names = Object.keys(wanted) as ServiceName[] } = {},
): Promise<readonly Result[]> {
  const pids: [ServiceName, number][] = [];
  for (const name of names) pids.push([name, await startedProcess(rig, name)]);
  using idle = background(process.execPath, ['-e', 'setInterval(() => {}, 1e6)']);
  await sleep(settleMs);
  if (idle.pid === undefined) throw new Error('node does not start');
  const floor = await memoryMiB(idle.pid);
  const results: Result[] = [];
  for (const [name, pid] of pids) {
    const limit = wanted[name] + (name === 'keys' ? libraries * wantedOfLibrary : 0);
    const what = name === 'keys' ? `keys, ${libraries} PKCS#11 libraries` : name;
    results.push(result(what, limit, { ours: await memoryMiB(pid), floor }));
  }
  return results;
}

function result(
  what: string,
  limit: number,
  { ours, floor }: { readonly ours: Memory; readonly floor: Memory },
): Result {
  return {
    what: `private memory of ${what}`,
    measured: `${ours.own.toFixed(1)} MiB (${ours.share.toFixed(0)} with its share)`,
    floor: `${floor.own.toFixed(1)} MiB node`,
    ratio: ours.own / floor.own,
    wanted: `<= ${(limit / floor.own).toFixed(2)}, ${limit} MiB`,
  };
}
