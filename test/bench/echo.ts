import { join } from 'node:path';
import { Bus } from '../../src/dbus/bus.ts';
import { until } from '../support/deadline.ts';
import { PrivateBus } from '../support/rig/private-bus.ts';
import { Client, type Place } from './client.ts';
import { type ServerPace, several } from './pace.ts';
import { background } from './processes.ts';

/** The checkout of the bench. */
export const thisCheckout = join(import.meta.dirname, '../../..');

const callsAbreast = 20_000;
const callsAlone = 4000;

/** Echo of 32 bytes, by our dispatcher and by sd-bus in C on the same bus. */
export class EchoBench implements AsyncDisposable {
  readonly client: Client;
  readonly #bus: PrivateBus;
  #ours: ReturnType<typeof background> | undefined;
  readonly #floor: ReturnType<typeof background>;

  private constructor(bus: PrivateBus, client: Client) {
    this.#bus = bus;
    this.client = client;
    this.#floor = background(client.program, client.serve(placeOf(bus, 'EchoFloor')));
  }

  /** Starts both servers. */
  static async start(): Promise<EchoBench> {
    const bus = await PrivateBus.start();
    const bench = new EchoBench(bus, await Client.compile(bus.directory));
    await waitForName(bus.address, 'org.iotedge.EchoFloor');
    await bench.restart(thisCheckout);
    return bench;
  }

  /** Where programs may be; removed by the disposal. */
  get directory(): string {
    return this.#bus.directory;
  }

  /** Restarts our server with the build of a checkout, and warms V8 up. */
  async restart(checkout: string): Promise<void> {
    const name = 'org.iotedge.Echo1';
    this.#ours?.[Symbol.dispose]();
    await waitForName(this.#bus.address, name, 'leave');
    const script = join(checkout, 'dist/test/bench/echo-service.js');
    this.#ours = background(process.execPath, [script, this.#bus.address]);
    await waitForName(this.#bus.address, name);
    await this.ours();
  }

  /** One round of the dispatcher. */
  ours(inFlight = several): Promise<ServerPace> {
    return this.#pace('Echo1', this.#ours?.pid, inFlight);
  }

  /** One round of the floor. */
  floor(): Promise<ServerPace> {
    return this.#pace('EchoFloor', this.#floor.pid, several);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ours?.[Symbol.dispose]();
    this.#floor[Symbol.dispose]();
    await this.#bus[Symbol.asyncDispose]();
  }

  #pace(name: string, pid: number | undefined, inFlight: number): Promise<ServerPace> {
    if (pid === undefined) throw new TypeError('the server did not start');
    const count = inFlight === 1 ? callsAlone : callsAbreast;
    return this.client.pace(placeOf(this.#bus, name), pid, { count, inFlight });
  }
}

function placeOf({ address }: PrivateBus, name: string): Place {
  const path = '/org/iotedge/Echo1';
  return { address, name: `org.iotedge.${name}`, path, interface: 'org.iotedge.Echo1' };
}

/** Resolves when the name has an owner, or has lost it. */
export async function waitForName(
  address: string,
  name: string,
  event: 'appear' | 'leave' = 'appear',
): Promise<void> {
  await using bus = await Bus.connect(address);
  const hasOwner = async (): Promise<boolean> => (await bus.nameOwner(name)) !== undefined;
  const wanted = event === 'appear';
  await until(10_000, `${name} to ${event}`, async () => (await hasOwner()) === wanted);
}
