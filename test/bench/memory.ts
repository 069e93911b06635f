import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Rig } from '../support/rig/rig.ts';
import type { ServiceName } from '../support/rig/rig-services.ts';
import { background, type Memory, memoryMiB } from './processes.ts';
import type { Result } from './result.ts';
import { startedProcess } from './started-process.ts';

const settleMs = 2500;
/** The TLS worker of Identity ends after a minute without a request. */
const idleMs = 65_000;
/** The wanted private memory in MiB: of Keys without a token, of Identity without its TLS worker. */
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
    const ours = await memoryMiB(pid);
    if (name === 'keys') {
      const limit = wanted.keys + libraries * wantedOfLibrary;
      results.push(result(`keys, PKCS#11 libraries: ${libraries}`, { ours, floor, limit }));
    } else if (name === 'identity') {
      results.push(result('identity while it tries to connect', { ours, floor }));
    } else results.push(result(name, { ours, floor, limit: wanted[name] }));
  }
  return results;
}

/** The memory of Identity after it had used its TLS worker. */
export async function idleIdentity(rig: Rig): Promise<Result> {
  await rig.configure('identity', { idle_exit_s: 0 });
  await rig.stop('identity');
  const pid = await startedProcess(rig, 'identity');
  await sleep(settleMs);
  await writeFile(join(rig.directory, 'config/identity.yaml'), '# no cloud\n');
  await rig.reload('identity');
  using idle = background(process.execPath, ['-e', 'setInterval(() => {}, 1e6)']);
  await sleep(idleMs);
  const [ours, floor] = [await memoryMiB(pid), await memoryMiB(idle.pid ?? 0)];
  return result('identity when idle', { ours, floor, limit: wanted.identity });
}

interface Compared {
  readonly ours: Memory;
  readonly floor: Memory;
  readonly limit?: number;
}

function result(what: string, { ours, floor, limit }: Compared): Result {
  return {
    what: `private memory of ${what}`,
    measured: `${ours.own.toFixed(1)} MiB (${ours.share.toFixed(0)} with its share)`,
    floor: `${floor.own.toFixed(1)} MiB node`,
    ratio: ours.own / floor.own,
    ...(limit !== undefined && {
      wanted: `<= ${(limit / floor.own).toFixed(2)}, ${limit} MiB`,
    }),
  };
}
