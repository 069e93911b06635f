import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Rig } from '../../support/rig/rig.ts';
import type { ServiceName } from '../../support/rig/rig-services.ts';
import { background, type Memory, memoryMiB } from '../processes.ts';
import type { Result } from '../result.ts';
import { startedProcess } from '../started-process.ts';

const settleMs = 2500;
/** The TLS worker of Identity ends after a minute without a request; V8 has collected garbage by then. */
const idleMs = 65_000;
/** The wanted private memory in MiB: of Keys without a token, of Identity without its TLS worker. */
const wanted = { keys: 14, certificates: 14, identity: 16, modules: 17 } as const;
const wantedOfLibrary = 9;
const all: readonly ServiceName[] = ['keys', 'certificates', 'identity', 'modules'];

interface Moment {
  readonly name: ServiceName;
  readonly ours: Memory;
  /** A Node without a program. */
  readonly floor: Memory;
  readonly libraries: number;
}

/** The memory of services soon after their first call, with their child processes, against a Node without a program. */
export async function memory(
  rig: Rig,
  { libraries = 1, names = all } = {},
): Promise<readonly Result[]> {
  const pids = await started(rig, names);
  const moments = await memoryAfter(settleMs, pids, libraries);
  return moments.map((moment) =>
    moment.name === 'identity'
      ? result('with its TLS worker', moment)
      : result('after its first call', moment, limitOf(moment)),
  );
}

/** The same a minute later. Identity has used its TLS worker before. */
export async function idleMemory(rig: Rig): Promise<readonly Result[]> {
  for (const name of all) {
    if (name !== 'modules') await rig.configure(name, { idle_exit_s: 0 });
    await rig.stop(name);
  }
  const pids = await started(rig, all);
  await sleep(settleMs);
  await writeFile(join(rig.directory, 'config/identity.yaml'), '# no cloud\n');
  await rig.reload('identity');
  const moments = await memoryAfter(idleMs, pids, 1);
  return moments.map((moment) => result('when idle', moment, limitOf(moment)));
}

async function started(
  rig: Rig,
  names: readonly ServiceName[],
): Promise<ReadonlyMap<ServiceName, number>> {
  const pids = new Map<ServiceName, number>();
  for (const name of names) pids.set(name, await startedProcess(rig, name));
  return pids;
}

async function memoryAfter(
  ms: number,
  pids: ReadonlyMap<ServiceName, number>,
  libraries: number,
): Promise<readonly Moment[]> {
  using node = background(process.execPath, ['-e', 'setInterval(() => {}, 1e6)']);
  await sleep(ms);
  if (node.pid === undefined) throw new Error('node does not start');
  const floor = await memoryMiB(node.pid);
  const moments: Moment[] = [];
  for (const [name, pid] of pids)
    moments.push({ name, ours: await memoryMiB(pid), floor, libraries });
  return moments;
}

function limitOf({ name, libraries }: Moment): number {
  return wanted[name] + (name === 'keys' ? libraries * wantedOfLibrary : 0);
}

function result(when: string, { name, ours, floor, libraries }: Moment, limit?: number): Result {
  const service = name === 'keys' ? `keys with ${libraries} PKCS#11 libraries` : name;
  return {
    what: `private memory of ${service} ${when}`,
    measured: `${ours.own.toFixed(1)} MiB (${ours.share.toFixed(0)} with its share)`,
    floor: `${floor.own.toFixed(1)} MiB node`,
    ratio: ours.own / floor.own,
    ...(limit !== undefined && { wanted: `<= ${(limit / floor.own).toFixed(2)}, ${limit} MiB` }),
  };
}
