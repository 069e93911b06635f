import { setTimeout as sleep } from 'node:timers/promises';
import { Variant } from '../../../src/dbus/wire/variant.ts';
import { modulesService } from '../../../src/interfaces/modules.ts';
import { deadline } from '../../support/deadline.ts';
import { ModulesRig } from '../../support/engine/modules-rig.ts';
import { median, type Result } from '../result.ts';
import type { BenchDevice } from './device.ts';

const { busName: sender, path, child } = modulesService;
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

/** The end of a module's main process until its State has another value on the bus. */
export async function deaths(device: BenchDevice, rounds: number): Promise<Result> {
  const name = 'mortal';
  await device.run(name);
  const object = `${path}/${child.segment}/${name}`;
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const pid = await device.rig.machine.docker('inspect', '-f', '{{.State.Pid}}', name);
    // events follow its start
    await sleep(1_000);
    let onChange = (): void => undefined;
    const changed = new Promise<void>((resolve) => {
      onChange = resolve;
    });
    const subscription = await device.bus.subscribe({ sender, pathNamespace: path }, (signal) => {
      if (signal.path !== object || signal.member !== 'PropertiesChanged') return;
      const state: unknown = new Map(Object.entries(signal.body[1] ?? {})).get('State');
      if (state instanceof Variant && state.value !== 'running') onChange();
    });
    times.push(
      await msOf(async () => {
        process.kill(Number(pid), 'SIGKILL');
        await deadline(30_000, changed, 'the change');
      }),
    );
    await subscription[Symbol.asyncDispose]();
    await device.modules.Stop({ name }, { timeoutMs: 60_000 });
    await device.modules.Start({ name }, { timeoutMs: 60_000 });
  }
  await device.delete(name);
  return {
    what: 'death of a container to the change of its State on the bus',
    measured: `${median(times).toFixed(0)} ms, at most ${Math.max(...times).toFixed(0)}`,
    floor: '',
    wanted: '< 100 ms',
  };
}
