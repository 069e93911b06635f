import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { Variant } from '../../../src/dbus/wire/variant.ts';
import { modulesService } from '../../../src/interfaces/modules.ts';
import { deadline } from '../../support/deadline.ts';
import { median, type Result } from '../result.ts';
import type { BenchDevice } from './device.ts';

const { busName: sender, path, child } = modulesService;

/** What happens again and again; resolves to the time of the next occurrence. */
class Occurrences {
  #waiting: ((at: number) => void) | undefined;

  occur(): void {
    this.#waiting?.(performance.now());
    this.#waiting = undefined;
  }

  next(): Promise<number> {
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }
}

/** The ends of containers as the engine reports them: no client can know earlier. */
async function engineEvents(socketPath: string, deaths: Occurrences): Promise<Disposable> {
  const filters = encodeURIComponent(JSON.stringify({ event: ['die'] }));
  const request = get({ socketPath, path: `/events?filters=${filters}` });
  const [response] = (await once(request, 'response')) as [IncomingMessage]; // its only argument
  response.on('data', () => deaths.occur());
  response.on('error', () => undefined); // it is cut at the end
  return { [Symbol.dispose]: () => void request.destroy() };
}

/** The changes of a module's State to one in which it does not run. */
function stateChanges({ bus }: BenchDevice, name: string, deaths: Occurrences) {
  const object = `${path}/${child.segment}/${name}`;
  return bus.subscribe({ sender, pathNamespace: path }, (signal) => {
    if (signal.path !== object || signal.member !== 'PropertiesChanged') return;
    const state: unknown = new Map(Object.entries(signal.body[1] ?? {})).get('State');
    if (state instanceof Variant && state.value !== 'running') deaths.occur();
  });
}

/** The end of a module's main process until its State has another value on the bus, and until the engine reports it. */
export async function deaths(device: BenchDevice, rounds: number): Promise<Result> {
  const name = 'mortal';
  await device.run(name);
  const [onBus, atEngine] = [new Occurrences(), new Occurrences()];
  using _events = await engineEvents(device.rig.machine.socketPath, atEngine);
  await using _changes = await stateChanges(device, name, onBus);
  const ours: number[] = [];
  const floor: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const pid = await device.rig.machine.docker('inspect', '-f', '{{.State.Pid}}', name);
    // events follow its start
    await sleep(1_000);
    const both = Promise.all([onBus.next(), atEngine.next()]);
    const diedAt = performance.now();
    process.kill(Number(pid), 'SIGKILL');
    const [changedAt, reportedAt] = await deadline(30_000, both, 'the change');
    ours.push(changedAt - diedAt);
    floor.push(reportedAt - diedAt);
    await device.modules.Stop({ name }, { timeoutMs: 60_000 });
    await device.modules.Start({ name }, { timeoutMs: 60_000 });
  }
  await device.delete(name);
  const rest = median(ours.map((each, index) => each - (floor[index] ?? Number.NaN)));
  return {
    what: 'death of a container to the change of its State on the bus',
    measured: `${median(ours).toFixed(0)} ms, at most ${Math.max(...ours).toFixed(0)}`,
    floor: `event of the engine ${median(floor).toFixed(0)} ms; ours beyond it ${rest.toFixed(1)} ms`,
    ratio: median(ours.map((each, index) => each / (floor[index] ?? Number.NaN))),
    wanted: '< 100 ms',
  };
}
