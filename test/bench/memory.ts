import { setTimeout as sleep } from 'node:timers/promises';
import type { Rig } from '../support/rig/rig.ts';
import { type ServiceName, services } from '../support/rig/rig-services.ts';
import { background, memoryMiB } from './processes.ts';
import type { Result } from './result.ts';
import { startedProcess } from './started-process.ts';

const settleMs = 1000;

/** The memory of each service after its first call, against a Node without a program. */
export async function memory(rig: Rig): Promise<readonly Result[]> {
  const pids: [ServiceName, number][] = [];
  for (const name of Object.keys(services) as ServiceName[])
    pids.push([name, await startedProcess(rig, name)]);
  using idle = background(process.execPath, ['-e', 'setInterval(() => {}, 1e6)']);
  await sleep(settleMs);
  if (idle.pid === undefined) throw new Error('node does not start');
  const floor = await memoryMiB(idle.pid);
  const results: Result[] = [];
  for (const [name, pid] of pids) results.push(result(name, await memoryMiB(pid), floor));
  return results;
}

type Memory = Awaited<ReturnType<typeof memoryMiB>>;

function result(name: string, ours: Memory, floor: Memory): Result {
  const text = ({ share, own }: Memory) => `${share.toFixed(0)} (${own.toFixed(0)} own) MiB`;
  return {
    what: `memory of ${name}`,
    measured: text(ours),
    floor: `${text(floor)} node`,
    ratio: ours.share / floor.share,
  };
}
