import type { Bus } from '../../../src/dbus/bus.ts';
import { client } from '../../../src/dbus/client/client.ts';
import { PrivateBus } from '../rig/private-bus.ts';
import {
  type EchoFixture,
  type EchoOptions,
  echoRemote,
  echoService,
  startEcho,
} from './echo-service.ts';

/** An echo service and its bus. */
export interface EchoRig extends EchoFixture {
  readonly rig: PrivateBus;
  readonly bus: Bus;
  /** The connection of the service. */
  readonly served: Bus;
}

/** Runs a test with a bus, the echo service on it and a connection of a client. */
export async function withEcho(
  body: (rig: EchoRig) => Promise<void>,
  options?: EchoOptions,
): Promise<void> {
  await using rig = await PrivateBus.start();
  await using served = await rig.connect();
  await using bus = await rig.connect();
  await body({ rig, bus, served, ...(await startEcho(served, options)) });
}

/** The client of the echo service. */
export function echo(bus: Bus) {
  return client(bus, echoRemote, echoService.manager);
}
