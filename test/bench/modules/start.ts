import { ModulesRig } from '../../support/engine/modules-rig.ts';
import { median, type Result } from '../result.ts';
import type { BenchDevice } from './device.ts';

const network = 'azure-iot-edge';

async function msOf(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

/** CreateModule and Start until it runs, alternating with `docker run` of the same image in the same network. */
export async function starts(device: BenchDevice, rounds: number): Promise<Result> {
  const { machine } = device.rig;
  const run = ['run', '-d', '--name', 'floor', '--network', network];
  const ours: number[] = [];
  const floor: number[] = [];
  for (let round = -1; round < rounds; round++) {
    const module = await msOf(() => device.run('bench'));
    const container = await msOf(() => machine.docker(...run, ModulesRig.image, 'sleep', '100000'));
    await device.delete('bench');
    await machine.docker('rm', '-f', 'floor');
    // the first one finds cold caches
    if (round >= 0) ours.push(module);
    if (round >= 0) floor.push(container);
  }
  return {
    what: 'CreateModule and Start until the module runs',
    measured: `${median(ours).toFixed(0)} ms`,
    floor: `docker run ${median(floor).toFixed(0)} ms`,
    ratio: median(ours.map((each, index) => each / (floor[index] ?? Number.NaN))),
    wanted: '<= 1.15',
  };
}
