import { setTimeout as sleep } from 'node:timers/promises';
import { modulesService } from '../../../src/interfaces/modules.ts';
import { version } from '../../support/workload/api.ts';
import { cpuMicroseconds, memoryMiB } from '../processes.ts';
import { median, type Result } from '../result.ts';
import type { BenchDevice } from './device.ts';
import { load, requestText } from './http-client.ts';

const modules = 100;
const idleS = 20;
const { busName: destination, path } = modulesService;

interface Scale {
  readonly memoryMiB: number;
  readonly cpuPercent: number;
  readonly listMs: number;
  readonly programMs: number;
  readonly httpMs: number;
}

async function measure(device: BenchDevice, rounds: number): Promise<Scale> {
  await sleep(5_000);
  const before = await cpuMicroseconds(device.pid);
  await sleep(idleS * 1000);
  const cpuPercent = ((await cpuMicroseconds(device.pid)) - before) / idleS / 1e4;
  const { own } = await memoryMiB(device.pid);
  const lists: number[] = [];
  const programs: number[] = [];
  for (let round = 0; round < rounds; round++) {
    lists.push(await listMs(device));
    programs.push(await programMs(device));
  }
  const request = requestText('GET', `/modules?${version}`);
  const socketPath = device.socketOf('edgeAgent');
  // one at a time, further apart than the time for which a list is cached
  const https: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await sleep(1_100);
    https.push((await load({ socketPath, request, connections: 1 }, (done) => done > 0)).p50);
  }
  return {
    memoryMiB: own,
    cpuPercent,
    listMs: median(lists),
    programMs: median(programs),
    httpMs: median(https) / 1000,
  };
}

async function listMs({ bus }: BenchDevice): Promise<number> {
  const startedAt = performance.now();
  await bus.call({
    destination,
    path,
    interface: 'org.freedesktop.DBus.ObjectManager',
    member: 'GetManagedObjects',
  });
  return performance.now() - startedAt;
}

async function programMs({ rig: { rig } }: BenchDevice): Promise<number> {
  const startedAt = performance.now();
  const { code, stderr } = await rig.iotedgectl(['modules', 'list']);
  if (code !== 0) throw new Error(stderr);
  return performance.now() - startedAt;
}

/** What grows with the number of modules: with the agent alone, then with 100 more. */
export async function scales(device: BenchDevice, rounds: number): Promise<readonly Result[]> {
  const one = await measure(device, rounds);
  for (let index = 0; index < modules; index++) await device.run(`m${index}`);
  const all = await measure(device, rounds);
  const result = (what: string, key: keyof Scale, unit: string, wanted: string): Result => ({
    what: `${what}, ${modules} modules`,
    measured: `${all[key].toFixed(2)} ${unit}`,
    floor: `1 module: ${one[key].toFixed(2)} ${unit}`,
    ratio: all[key] / one[key],
    wanted,
  });
  return [
    result('GetManagedObjects', 'listMs', 'ms', '< 300 ms'),
    result('iotedgectl modules list', 'programMs', 'ms', '< 300 ms'),
    result('GET /modules on a workload socket', 'httpMs', 'ms', '< 50 ms'),
    result('CPU of the service, idle', 'cpuPercent', '%', '< 0.5 %'),
    result('private memory of the service', 'memoryMiB', 'MiB', '<= 1.50'),
  ];
}
